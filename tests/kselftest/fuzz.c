// SPDX-License-Identifier: GPL-2.0-only
/*
 * Malformed input for tlckpt.ko, from a seed:
 *   fuzz netlink COUNT SEED            requests of its netlink family
 *   fuzz frames DEV COUNT SEED SN      what may arrive at a link's other end: shims
 *                                      cut short, forged, replayed (valid, with
 *                                      indexes up to SN), nested, as super-packets
 *   fuzz geneve ADDRESS COUNT SEED SN  the same as options of Geneve
 * Prints what it sent. The key is the tests' one (lib.sh). Nothing here may force a
 * checkpoint: stamps are valid only if they say nothing new.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/tlckpt.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tlckpt/carrier.h>

/* As NLA_HDRLEN and NLA_ALIGN(), without their signs. */
#define NLA_HEAD 4u
#define NLA_WHOLE(len) (((len) + 3u) & ~3u)

static u64 state;
static struct tlckpt_cluster cluster;

/* xorshift64*: the same frames for the same seed everywhere. */
static u32 any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (u32)(state * 0x2545f4914f6cdd1dull >> 32);
}

static u32 below(u32 n)
{
	return any() % n;
}

static bool one_in(u32 n)
{
	return !below(n);
}

static void noise(u8 *at, size_t len)
{
	while (len--)
		*at++ = (u8)any();
}

static void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(2);
}

/* A stamp: nothing like one, forged, damaged, or a replay that is valid. */
static void put_stamp(u8 *wire, u64 sn)
{
	const struct tlckpt_stamp stamp = {
		.sn = sn ? any() % (sn + 1) : 0,
		.node = (u16)(1 + below(3) * (below(2) ? 1 : 500)),
	};

	switch (below(4)) {
	case 0:
		noise(wire, TLCKPT_STAMP_LEN);
		return;
	case 1: { /* everything right, and far ahead, but for the tag */
		const struct tlckpt_stamp forged = { .sn = sn + 1 + below(900),
						     .incarnation = below(3), .node = 1 };

		tlckpt_stamp_write(wire, &forged, &cluster);
		noise(wire + TLCKPT_STAMP_LEN - 8, 8);
		return;
	}
	case 2:
		tlckpt_stamp_write(wire, &stamp, &cluster);
		wire[below(TLCKPT_STAMP_LEN)] ^= (u8)(1 << below(8));
		return;
	default:
		tlckpt_stamp_write(wire, &stamp, &cluster);
	}
}

static u8 *put16(u8 *at, u32 value)
{
	*at++ = (u8)(value >> 8);
	*at++ = (u8)value;
	return at;
}

/* What is inside: the beginning of an IPv4 or IPv6 packet, a tag, a shim again, noise. */
static u8 *put_inner(u8 *at)
{
	static const u16 types[] = { 0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8,
				     0x88b5, 0x0000, 0x05dc, 0xffff, 0x6558 };
	size_t len = below(one_in(20) ? 1400 : 120);

	at = put16(at, one_in(8) ? any() : types[below(10)]);
	noise(at, len);
	if (len > 40 && !one_in(3)) {
		at[0] = at[-1] ? 0x60 : 0x45;
		put16(at + 2, one_in(4) ? any() : (u32)len);
		at[9] = (u8)(below(2) ? IPPROTO_TCP : IPPROTO_UDP);
	}
	return at + len;
}

/* After the destination and source: tags maybe, shim maybe, cut somewhere maybe. */
static size_t make_frame(u8 *frame, u64 sn)
{
	static const u8 guests[][6] = { { 0, 0x16, 0x3e, 0, 0, 0x0b }, { 0, 0x16, 0x3e, 0, 0, 1 },
					{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 1, 0, 0x5e, 0, 0, 1 } };
	u8 *at = frame;

	memcpy(at, guests[below(4)], 6);
	memcpy(at + 6, guests[1], 6);
	at += 12;
	while (one_in(5) && at < frame + 40) {
		at = put16(at, below(3) ? 0x8100 : 0x88a8);
		at = put16(at, any());
	}
	if (!one_in(16)) {
		at = put16(at, TLCKPT_ETHERTYPE);
		put_stamp(at, sn);
		at = put16(at + TLCKPT_STAMP_LEN, one_in(8) ? any() : 0);
	}
	at = put_inner(at);
	if (one_in(5))
		at = frame + ETH_HLEN + below((u32)(at - frame) - 12);
	return at > frame + ETH_HLEN ? (size_t)(at - frame) : ETH_HLEN;
}

/* Now and then a super-packet, right or not, that the receiver or the stack must cut. */
static void make_vnet(struct virtio_net_hdr *vnet, size_t len)
{
	memset(vnet, 0, sizeof(*vnet));
	if (!one_in(6))
		return;
	vnet->flags = below(4) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	vnet->gso_type = (u8)(below(2) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
	vnet->gso_size = (u16)(1 + below(200));
	vnet->csum_start = (u16)below((u32)len);
	vnet->csum_offset = 16;
	vnet->hdr_len = (u16)below((u32)len);
}

static long fuzz_frames(const char *device, long count, u64 sn)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6,
				  .sll_ifindex = (int)if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;
	long sent = 0;

	need(fd >= 0 && to.sll_ifindex, device);
	need(!setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), "vnet header");
	for (long i = 0; i < count; i++) {
		u8 buffer[sizeof(struct virtio_net_hdr) + 2048];
		size_t len = make_frame(buffer + sizeof(struct virtio_net_hdr), sn);

		make_vnet((struct virtio_net_hdr *)buffer, len);
		sent += sendto(fd, buffer, sizeof(struct virtio_net_hdr) + len, 0,
			       (struct sockaddr *)&to, sizeof(to)) > 0;
	}
	return sent;
}

static long fuzz_geneve(const char *address, long count, u64 sn)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(6081) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	long sent = 0;

	need(fd >= 0 && inet_pton(AF_INET, address, &to.sin_addr) == 1, address);
	for (long i = 0; i < count; i++) {
		u8 packet[2048], *options = packet + 8, *at = options;
		size_t len;

		for (u32 n = below(4); n && at < options + 200; n--) {
			u8 words = (u8)(one_in(4) ? below(32) : 6);

			at = put16(at, one_in(4) ? any() : TLCKPT_OPTION_CLASS);
			*at++ = (u8)(one_in(4) ? any() : TLCKPT_OPTION_TYPE);
			*at++ = words;
			noise(at, words * 4u);
			if (words == 6)
				put_stamp(at, sn);
			at += words * 4;
		}
		memset(packet, 0, 8);
		len = (size_t)(at - options) / 4;
		packet[0] = (u8)(one_in(10) ? any() : (len & 0x3f)); /* version, length in words */
		packet[1] = (u8)(one_in(10) ? any() : 0);
		put16(packet + 2, one_in(10) ? any() : 0x6558);
		packet[6] = 5;
		len = (size_t)(at - packet) + make_frame(at, sn);
		if (one_in(8))
			len = below((u32)len);
		sent += sendto(fd, packet, len, 0, (struct sockaddr *)&to, sizeof(to)) >= 0;
	}
	return sent;
}

/* ---- netlink ---- */

struct message {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	u8 body[4096];
};

static u16 put_value(u8 *at)
{
	static const u64 values[] = { 0, 1, 2, 3, 7, 0xff, 0xffff, 0xffffffff, ~0ull, 1ull << 63 };
	static const u16 lengths[] = { 0, 1, 2, 4, 8, 6, 16, 3, 64 };
	u64 value = one_in(3) ? any() : values[below(10)];
	u16 len = lengths[below(9)];

	noise(at, 64);
	memcpy(at, &value, sizeof(value));
	return len;
}

static u8 *put_attribute(u8 *at, u32 most)
{
	struct nlattr *attribute = (struct nlattr *)at;
	u16 len = put_value(at + NLA_HEAD);

	attribute->nla_type = (u16)(1 + below(most + 2));
	if (one_in(50))
		attribute->nla_type |= (u16)any();
	attribute->nla_len = (u16)(NLA_HEAD + len);
	if (one_in(60))
		attribute->nla_len = (u16)any();
	return at + NLA_WHOLE(NLA_HEAD + len);
}

/* Nests with some attributes each: as the family knows them, and a few that it does not. */
static size_t make_message(struct message *m, u16 family, u32 sequence)
{
	static const u32 most[] = { 4, TLCKPT_A_NODE_MAX, TLCKPT_A_PORT_MAX, TLCKPT_A_LINK_MAX,
				    4, TLCKPT_A_PEER_MAX, TLCKPT_A_STEP_MAX, TLCKPT_A_LOG_MAX };
	u8 *at = m->body;

	/* What waits for grace periods comes rarely: it would be all that is done. */
	do {
		m->genl.cmd = (u8)below(TLCKPT_CMD_MAX + 3);
	} while ((m->genl.cmd == TLCKPT_CMD_NODE_DEL || m->genl.cmd == TLCKPT_CMD_CLOSE ||
		  m->genl.cmd == TLCKPT_CMD_PORT_DEL || m->genl.cmd == TLCKPT_CMD_LINK_DEL) &&
		 !one_in(100));
	m->genl.version = TLCKPT_GENL_VERSION;
	m->head = (struct nlmsghdr){ .nlmsg_type = family, .nlmsg_seq = sequence };
	m->head.nlmsg_flags = NLM_F_REQUEST | (one_in(3) ? NLM_F_ACK : 0) |
			      (one_in(6) ? NLM_F_DUMP : 0);
	for (u32 n = 1 + below(3); n; n--) {
		struct nlattr *nest = (struct nlattr *)at;

		nest->nla_type = (u16)(1 + below(TLCKPT_A_MAX + 1));
		at += NLA_HEAD;
		if (nest->nla_type == TLCKPT_A_EXEMPT)
			at += NLA_WHOLE(put_value(at));
		else
			for (u32 k = below(12); k; k--)
				at = put_attribute(at, most[nest->nla_type & 7]);
		nest->nla_len = (u16)(at - (u8 *)nest);
		if (one_in(60))
			nest->nla_len = (u16)any();
		if (one_in(4))
			nest->nla_type |= NLA_F_NESTED;
	}
	m->head.nlmsg_len = (u32)(at - (u8 *)m);
	if (one_in(100))
		m->head.nlmsg_len -= below((u32)(at - m->body));
	return (size_t)(at - (u8 *)m);
}

static void drain(int fd)
{
	static u8 buffer[65536];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

static u16 family_id(int fd)
{
	struct {
		struct nlmsghdr head;
		struct genlmsghdr genl;
		struct nlattr attribute;
		char name[8];
	} ask = { { sizeof(ask), GENL_ID_CTRL, NLM_F_REQUEST, 0, 0 }, { CTRL_CMD_GETFAMILY, 1, 0 },
		  { NLA_HEAD + sizeof(TLCKPT_GENL_NAME), CTRL_ATTR_FAMILY_NAME }, TLCKPT_GENL_NAME };
	u8 answer[8192];
	ssize_t len;

	need(send(fd, &ask, sizeof(ask), 0) == sizeof(ask), "send");
	len = recv(fd, answer, sizeof(answer), 0);
	for (u8 *at = answer + NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HEAD < answer + len;) {
		const struct nlattr *attribute = (const struct nlattr *)at;

		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(const u16 *)(at + NLA_HEAD);
		at += NLA_WHOLE(attribute->nla_len);
	}
	need(0, "no such netlink family");
	return 0;
}

static long fuzz_netlink(long count)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), room = 1 << 20;
	static struct message message;
	long sent = 0;
	u16 family;

	need(fd >= 0, "netlink");
	family = family_id(fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	for (long i = 0; i < count; i++) {
		size_t len = make_message(&message, family, (u32)i);

		sent += send(fd, &message, len, 0) >= 0;
		drain(fd);
	}
	return sent;
}

int main(int argc, char **argv)
{
	u8 key[TLCKPT_KEY_LEN];
	long sent;

	for (u8 i = 0; i < TLCKPT_KEY_LEN; i++)
		key[i] = i;
	tlckpt_cluster_init(&cluster, key, 0);
	if (argc == 4 && !strcmp(argv[1], "netlink")) {
		state = strtoull(argv[3], NULL, 10) * 2 + 1;
		sent = fuzz_netlink(atol(argv[2]));
	} else if (argc == 6 && (!strcmp(argv[1], "frames") || !strcmp(argv[1], "geneve"))) {
		state = strtoull(argv[4], NULL, 10) * 2 + 1;
		sent = (argv[1][0] == 'f' ? fuzz_frames : fuzz_geneve)(
			argv[2], atol(argv[3]), strtoull(argv[5], NULL, 10));
	} else {
		fprintf(stderr, "fuzz netlink|frames|geneve ...: see the head of the source\n");
		return 2;
	}
	printf("%ld\n", sent);
	return sent ? 0 : 1;
}
