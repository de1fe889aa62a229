/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The checkpoint store's format, version 1: little endian, fixed width.
 * Documentation/checkpoint-format.rst says what every byte means; the section
 * that a struct belongs to is named in front of it.
 */
#ifndef TLCKPT_FORMAT_H
#define TLCKPT_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define TLCKPT_FORMAT_VERSION 1u
#define TLCKPT_BLOCK 4096u /* a page, and the unit of everything in a segment */

/* Four letters each, readable in a dump. */
#define TLCKPT_MAGIC_SUPERBLOCK 0x42534354u /* "TCSB" */
#define TLCKPT_MAGIC_OWNER 0x574f4354u      /* "TCOW" */
#define TLCKPT_MAGIC_SEGMENT 0x47534354u    /* "TCSG" */
#define TLCKPT_MAGIC_RECORD 0x43524354u     /* "TCRC" */
#define TLCKPT_MAGIC_RUN 0x4e524354u        /* "TCRN" */
#define TLCKPT_MAGIC_RUN_BLOCK 0x42524354u  /* "TCRB" */
#define TLCKPT_MAGIC_MANIFEST 0x464d4354u   /* "TCMF" */
#define TLCKPT_MAGIC_CHANNEL 0x48434354u    /* "TCCH" */

/* Section "Head": in front of every structure. */
struct tlckpt_head {
	uint32_t magic;
	uint32_t version; /* TLCKPT_FORMAT_VERSION */
	uint32_t length;  /* bytes the checksum covers, from the head on */
	uint32_t crc;     /* CRC32C of them, with this field as zero */
};

/*
 * Section "Page key": pfn << 12 | flags << 4 | type. Keys of one image sort
 * by pfn.
 */
#define TLCKPT_KEY_TYPE 0x00fu
#define TLCKPT_KEY_ZERO 0x010u /* contents all zero, not stored */
#define TLCKPT_KEY_PFN_SHIFT 12
#define TLCKPT_PFN_LIMIT (UINT64_C(1) << 52)

/* Section "superblock". */
struct tlckpt_superblock {
	struct tlckpt_head head;
	uint8_t store_uuid[16];
	uint64_t created_ns; /* Unix epoch */
	uint32_t page_bytes; /* 4096 */
	uint8_t zero[4096 - 44];
};

/* Section "owner": the last program that opened a node's part for writing. */
struct tlckpt_owner {
	struct tlckpt_head head;
	uint32_t incarnation;
	uint32_t pid;
	uint64_t opened_ns;
	char host[64]; /* zero terminated */
	uint8_t zero[512 - 96];
};

/* Section "Segment header": the first block of a segment. */
struct tlckpt_segment {
	struct tlckpt_head head;
	uint8_t guest[16];
	uint32_t id;
	uint32_t incarnation;
	uint64_t created_ns;
	char node[64];
	uint8_t zero[4096 - 112];
};

/* Section "Records". */
#define TLCKPT_RECORD_PAGES 1u
#define TLCKPT_RECORD_STATE 2u
#define TLCKPT_RECORD_CAPACITY 256u

/* The first block of a record; `nr_blocks` blocks of contents follow. */
struct tlckpt_record {
	struct tlckpt_head head;
	uint32_t type;
	uint32_t nr_entries; /* pages: entries of keys[]; state: 0 */
	uint32_t nr_blocks;
	uint32_t segment; /* where it was written: finds misplaced blocks */
	uint32_t block;
	uint32_t contents_crc; /* state: of all the blocks; pages: 0 */
	uint8_t guest[16];
	uint64_t state_bytes[3]; /* state: config, head, tail, back to back */
	/*
	 * Pages: the first nr_blocks entries have their contents in the blocks,
	 * in this order; those behind have none.
	 */
	uint64_t keys[TLCKPT_RECORD_CAPACITY];
	uint32_t crcs[TLCKPT_RECORD_CAPACITY];
	uint8_t zero[4096 - 3152];
};

/* Section "Index run": which page is where, sorted by key. */
struct tlckpt_run {
	struct tlckpt_head head;
	uint8_t guest[16];
	uint32_t id;
	uint32_t incarnation;
	uint64_t nr_entries;
	uint64_t created_ns;
	char node[64];
	uint8_t zero[4096 - 120];
};

struct tlckpt_run_entry {
	uint64_t key;
	uint32_t segment; /* 0: no contents stored */
	uint32_t block;
	uint32_t crc;
	uint32_t zero;
};

#define TLCKPT_RUN_BLOCK_ENTRIES 169u

struct tlckpt_run_block {
	struct tlckpt_head head;
	uint32_t run;
	uint32_t nr_entries;
	uint64_t number; /* 0, 1, 2, ... */
	struct tlckpt_run_entry entries[TLCKPT_RUN_BLOCK_ENTRIES];
	uint8_t zero[8];
};

/* Section "Manifest": a head, then items up to the END item. */
struct tlckpt_item {
	uint32_t type;
	uint32_t length; /* of the body; the next item starts at a multiple of 8 */
};

#define TLCKPT_ITEM_OPTIONAL 0x80000000u /* a reader may skip it unknown */
#define TLCKPT_ITEM_END 0u
#define TLCKPT_ITEM_CHECKPOINT 1u
#define TLCKPT_ITEM_NODE 2u     /* text */
#define TLCKPT_ITEM_PRODUCER 3u /* text: program and version */
#define TLCKPT_ITEM_PLATFORM 4u /* text: hypervisor and its version */
#define TLCKPT_ITEM_GROUPS 5u   /* u32 each: what this is a capture of, guests or not */
#define TLCKPT_ITEM_GUEST 16u   /* starts a guest; its other items follow */
#define TLCKPT_ITEM_GUEST_NAME 17u
#define TLCKPT_ITEM_GUEST_STATE 18u
#define TLCKPT_ITEM_GUEST_RUNS 19u
#define TLCKPT_ITEM_DISK 32u /* a disk of a guest before; its items follow */
#define TLCKPT_ITEM_DISK_TARGET 33u
#define TLCKPT_ITEM_DISK_SOURCE 34u

/* All in nanoseconds. */
struct tlckpt_times {
	uint64_t suspend, registers, memory, disk, channel, resume, stopped;
};

struct tlckpt_item_checkpoint {
	uint64_t sn;
	uint64_t prev;
	uint32_t incarnation;
	uint32_t kind; /* 1 basic, 2 forced, 3 manual */
	uint64_t cut_wall_ns;
	uint64_t durable_ns;
	uint64_t suspend_skew_ns;
	struct tlckpt_times times;
};

struct tlckpt_item_guest {
	uint8_t uuid[16];
	uint8_t kind;     /* 1 PV, 2 PVH, 3 HVM, 4 in-process */
	uint8_t tracking; /* 0 none, 1 log-dirty, 2 compare, 3 write-protect */
	uint8_t full;     /* 1: the image starts anew here */
	uint8_t zero[5];
	uint64_t pfn_limit;
	uint64_t nr_pages;
	uint64_t nr_new;
	uint64_t nr_zero;
	uint64_t nr_early;
	uint64_t nr_paused;
	uint64_t bytes_written;
	struct tlckpt_times times;
};

/* A disk: its image, if it has one, is stored as a guest's is. */
struct tlckpt_item_disk {
	uint8_t uuid[16];  /* of the image */
	uint8_t guest[16]; /* whose disk it is */
	uint8_t kind;      /* 1 captured, 2 read-only, 3 left out */
	uint8_t full;      /* 1: the image starts anew here */
	uint8_t zero[6];
	uint64_t bytes; /* of the disk */
	uint64_t nr_new;
	uint64_t nr_zero;
	uint64_t nr_discarded;
	uint64_t bytes_changed;
	uint64_t bytes_written;
	uint64_t snapshot_ns;
};

struct tlckpt_item_state {
	uint32_t segment;
	uint32_t block;     /* of the state record's header */
	uint32_t nr_blocks; /* with the header */
	uint32_t zero;
};

/* Newest first: a page is where the first run that has it says. */
struct tlckpt_item_run {
	uint32_t id;
	uint32_t zero;
	uint64_t nr_entries;
};

/* Section "Channel log": one frame; its octets follow. */
struct tlckpt_channel_frame {
	struct tlckpt_head head; /* the length is that of both */
	uint64_t from; /* logged for the indexes in (from, to] */
	uint64_t to;
	uint64_t sn; /* of its stamp */
	uint32_t incarnation;
	uint16_t peer; /* its sender; 0: a guest of the node itself */
	uint16_t zero;
	uint32_t bytes;
	uint32_t zero2;
};

static_assert(sizeof(struct tlckpt_head) == 16, "format");
static_assert(sizeof(struct tlckpt_channel_frame) == 56, "format");
static_assert(sizeof(struct tlckpt_superblock) == 4096, "format");
static_assert(sizeof(struct tlckpt_owner) == 512, "format");
static_assert(sizeof(struct tlckpt_segment) == 4096, "format");
static_assert(sizeof(struct tlckpt_record) == 4096, "format");
static_assert(sizeof(struct tlckpt_run) == 4096, "format");
static_assert(sizeof(struct tlckpt_run_entry) == 24, "format");
static_assert(sizeof(struct tlckpt_run_block) == 4096, "format");
static_assert(sizeof(struct tlckpt_item) == 8, "format");
static_assert(sizeof(struct tlckpt_times) == 56, "format");
static_assert(sizeof(struct tlckpt_item_checkpoint) == 104, "format");
static_assert(sizeof(struct tlckpt_item_guest) == 136, "format");
static_assert(sizeof(struct tlckpt_item_disk) == 96, "format");
static_assert(sizeof(struct tlckpt_item_state) == 16, "format");
static_assert(sizeof(struct tlckpt_item_run) == 16, "format");

#endif
