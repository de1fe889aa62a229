// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The stamp's wire form (Rules R1, R16); the layout is in the header. */
#include <tlckpt/stamp.h>

/* Offsets in the wire form. */
enum {
	AT_VERSION = 0,
	AT_FLAGS = 1,
	AT_NODE = 2,
	AT_INCARNATION = 4,
	AT_SN = 8,
	AT_TAG = 16,
};

#define CLUSTER_ID_LEN 4

static_assert(AT_TAG + sizeof(u64) == TLCKPT_STAMP_LEN, "the stamp ends with its tag");

static void store_be(u8 *octets, size_t len, u64 value)
{
	while (len--) {
		octets[len] = (u8)value;
		value >>= 8;
	}
}

static u64 load_be(const u8 *octets, size_t len)
{
	u64 value = 0;

	while (len--)
		value = value << 8 | *octets++;
	return value;
}

static u64 stamp_tag(const u8 *wire, const struct tlckpt_cluster *cluster)
{
	u8 text[CLUSTER_ID_LEN + AT_TAG];

	store_be(text, CLUSTER_ID_LEN, cluster->id);
	memcpy(text + CLUSTER_ID_LEN, wire, AT_TAG);
	return tlckpt_siphash24(cluster->key, text, sizeof(text));
}

void tlckpt_cluster_init(struct tlckpt_cluster *cluster, const u8 key[TLCKPT_KEY_LEN], u32 id)
{
	unsigned int i;

	cluster->id = id;
	cluster->key[0] = 0;
	cluster->key[1] = 0;
	for (i = 0; i < TLCKPT_KEY_LEN; i++)
		cluster->key[i / 8] |= (u64)key[i] << i % 8 * 8;
}

void tlckpt_stamp_write(u8 wire[TLCKPT_STAMP_LEN], const struct tlckpt_stamp *stamp,
			const struct tlckpt_cluster *cluster)
{
	wire[AT_VERSION] = TLCKPT_STAMP_VERSION;
	wire[AT_FLAGS] = 0;
	store_be(wire + AT_NODE, sizeof(stamp->node), stamp->node);
	store_be(wire + AT_INCARNATION, sizeof(stamp->incarnation), stamp->incarnation);
	store_be(wire + AT_SN, sizeof(stamp->sn), stamp->sn);
	store_be(wire + AT_TAG, sizeof(u64), stamp_tag(wire, cluster));
}

int tlckpt_stamp_read(struct tlckpt_stamp *stamp, const u8 wire[TLCKPT_STAMP_LEN],
		      const struct tlckpt_cluster *cluster)
{
	if (wire[AT_VERSION] != TLCKPT_STAMP_VERSION || wire[AT_FLAGS])
		return -EPROTONOSUPPORT;
	if (tlckpt_stamp_peer(wire) == TLCKPT_NODE_NONE)
		return -EINVAL;
	/* Rule R16: nobody without the key raises an index or an incarnation. */
	if (load_be(wire + AT_TAG, sizeof(u64)) != stamp_tag(wire, cluster))
		return -EBADMSG;
	stamp->node = tlckpt_stamp_peer(wire);
	stamp->incarnation = (u32)load_be(wire + AT_INCARNATION, sizeof(u32));
	stamp->sn = load_be(wire + AT_SN, sizeof(u64));
	return 0;
}
