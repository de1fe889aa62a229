// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traffic whose every octet is known, for order, loss, duplication and damage:
 *   flow send ADDRESS PORT COUNT SIZE GAP_US     numbered datagrams
 *   flow recv PORT COUNT IDLE_SECONDS [GROUP]    ends after COUNT of them, or so long
 *                                                without another, or a minute without
 *                                                the first; joins the IPv4 GROUP
 *   flow bulk ADDRESS PORT OCTETS                that many by TCP, and as many back
 *   flow serve PORT OCTETS                       the other end
 *   flow sink PORT                               takes one stream to its end
 *   flow cost udp|tcp ADDRESS PORT COUNT SIZE    nanoseconds for COUNT sends of SIZE
 * recv prints "received N lost N reordered N duplicate N damaged N". Exit 0: all is
 * as it was sent (recv: COUNT is there); 1: not; 2: could not be tried; 3: all is
 * there, but not in its order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_COUNT 1000000
#define MAX_SIZE 65000

static unsigned char buffer[MAX_SIZE];
static unsigned char seen[MAX_COUNT];

/* Fails the program: 2, it could not be tried. */
static void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(2);
}

static long number_of(const char *text, long most)
{
	char *end;
	long number = strtol(text, &end, 10);

	need(!*end && number >= 0 && number <= most, text);
	return number;
}

static struct sockaddr_in6 address_of(const char *text, const char *port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)number_of(port, 65535)) };
	char mapped[64];

	/* One family for both: an IPv4 address is mapped. */
	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	need(inet_pton(AF_INET6, mapped, &to.sin6_addr) == 1, text);
	return to;
}

static int socket_at(int type, const char *port)
{
	struct sockaddr_in6 here = { .sin6_family = AF_INET6,
				     .sin6_port = htons((uint16_t)number_of(port, 65535)) };
	int fd = socket(AF_INET6, type, 0), no = 0, yes = 1;

	need(fd >= 0, "socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	need(!bind(fd, (struct sockaddr *)&here, sizeof(here)), "bind");
	return fd;
}

static void fill(uint32_t number, size_t size)
{
	uint32_t word = htonl(number);

	memcpy(buffer, &word, sizeof(word));
	for (size_t i = sizeof(word); i < size; i++)
		buffer[i] = (unsigned char)(number + i);
}

static int damaged(uint32_t number, size_t size)
{
	for (size_t i = sizeof(number); i < size; i++)
		if (buffer[i] != (unsigned char)(number + i))
			return 1;
	return 0;
}

/* A sender that changes its CPU reorders by itself. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Of a kernel that checks everything: gaps and patience so many times as long. */
static long slowness(void)
{
	const char *slow = getenv("FLOW_SLOW");

	return slow ? number_of(slow, 1000) : 1;
}

static int do_send(char **args)
{
	struct sockaddr_in6 to = address_of(args[0], args[1]);
	uint32_t count = (uint32_t)number_of(args[2], MAX_COUNT);
	size_t size = (size_t)number_of(args[3], MAX_SIZE);
	long gap = number_of(args[4], 1000000) * slowness();
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	need(size >= sizeof(count) && !connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
	stay_here();
	for (uint32_t i = 0; i < count; i++) {
		fill(i, size);
		/* Refused while nobody listens yet: lost, fine. */
		if (send(fd, buffer, size, 0) >= 0 && gap)
			usleep((useconds_t)gap);
	}
	return 0;
}

static void join(int fd, const char *group)
{
	struct ip_mreqn wanted = { .imr_ifindex = 0 };

	need(inet_pton(AF_INET, group, &wanted.imr_multiaddr) == 1, group);
	/* No interface: the one of the route to the group. */
	need(!setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &wanted, sizeof(wanted)), "join");
}

static int do_recv(char **args)
{
	unsigned long received = 0, reordered = 0, duplicate = 0, bad = 0;
	unsigned long count = (unsigned long)number_of(args[1], MAX_COUNT);
	struct timeval idle = { .tv_sec = number_of(args[2], 3600) * slowness() }, first = idle;
	int fd = socket_at(SOCK_DGRAM, args[0]), room = 8 << 20;
	long newest = -1;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	/* On a busy machine it takes its time until the sender runs. */
	if (first.tv_sec < 60)
		first.tv_sec = 60;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &first, sizeof(first));
	if (args[3])
		join(fd, args[3]);
	while (received < count) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
		uint32_t number;

		if (size < (ssize_t)sizeof(number))
			break;
		memcpy(&number, buffer, sizeof(number));
		number = ntohl(number);
		if (!received++)
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
		if (number >= MAX_COUNT || damaged(number, (size_t)size)) {
			bad++;
			continue;
		}
		duplicate += seen[number];
		seen[number] = 1;
		if ((long)number < newest)
			reordered++;
		else
			newest = (long)number;
	}
	printf("received %lu lost %ld reordered %lu duplicate %lu damaged %lu\n", received,
	       newest + 1 - (long)received, reordered, duplicate, bad);
	if (received < count || duplicate || bad)
		return 1;
	return reordered ? 3 : 0;
}

/* The stream's octet at `at`: of a long period that is no multiple of a segment. */
static unsigned char octet(long at)
{
	return (unsigned char)(at % 251 + at / 65521);
}

static int stream_out(int fd, long octets)
{
	for (long at = 0, sent; at < octets; at += sent) {
		size_t size = octets - at < 32768 ? (size_t)(octets - at) : 32768;

		for (size_t i = 0; i < size; i++)
			buffer[i] = octet(at + (long)i);
		sent = send(fd, buffer, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return 1;
	}
	return 0;
}

static int stream_in(int fd, long octets)
{
	for (long at = 0, got; at < octets; at += got) {
		size_t size = octets - at < 32768 ? (size_t)(octets - at) : 32768;

		got = recv(fd, buffer, size, 0);
		if (got <= 0) {
			fprintf(stderr, "%ld of %ld octets, then %s\n", at, octets,
				got ? strerror(errno) : "the end");
			return 1;
		}
		for (long i = 0; i < got; i++)
			if (buffer[i] != octet(at + i)) {
				fprintf(stderr, "octet %ld is wrong\n", at + i);
				return 1;
			}
	}
	return 0;
}

static int connected(char **args)
{
	struct sockaddr_in6 to = address_of(args[0], args[1]);

	/* The other end may not listen yet. */
	for (int turn = 0; turn < 100; turn++, usleep(100000)) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0);

		if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return fd;
		close(fd);
	}
	need(0, "connect");
	return -1;
}

static int do_bulk(char **args)
{
	long octets = number_of(args[2], 1L << 40);
	int fd = connected(args);

	return stream_out(fd, octets) || stream_in(fd, octets);
}

static int do_serve(char **args)
{
	long octets = number_of(args[1], 1L << 40);
	int listening = socket_at(SOCK_STREAM, args[0]), fd;

	need(!listen(listening, 8), "listen");
	fd = accept(listening, NULL, NULL);
	need(fd >= 0, "accept");
	return stream_in(fd, octets) || stream_out(fd, octets);
}

static int do_sink(char **args)
{
	int listening = socket_at(SOCK_STREAM, args[0]), fd;

	need(!listen(listening, 8), "listen");
	fd = accept(listening, NULL, NULL);
	need(fd >= 0, "accept");
	while (recv(fd, buffer, sizeof(buffer), 0) > 0)
		;
	return 0;
}

static int do_cost(char **args)
{
	int udp = !strcmp(args[0], "udp"), one = 1;
	long count = number_of(args[3], 1L << 40);
	size_t size = (size_t)number_of(args[4], MAX_SIZE);
	struct timespec start, end;
	int fd;

	if (udp) {
		struct sockaddr_in6 to = address_of(args[1], args[2]);

		fd = socket(AF_INET6, SOCK_DGRAM, 0);
		need(!connect(fd, (struct sockaddr *)&to, sizeof(to)), "connect");
	} else {
		fd = connected(args + 1);
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (long i = 0; i < count; i++)
		need(send(fd, buffer, size, 0) == (ssize_t)size, "send");
	if (!udp) {
		/* Until the other end has all: it closes then. */
		shutdown(fd, SHUT_WR);
		while (recv(fd, &one, sizeof(one), 0) > 0)
			;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int least, most;
		int (*run)(char **args);
	} verbs[] = {
		{ "send", 5, 5, do_send },   { "recv", 3, 4, do_recv }, { "bulk", 3, 3, do_bulk },
		{ "serve", 2, 2, do_serve }, { "sink", 1, 1, do_sink }, { "cost", 5, 5, do_cost },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name) && argc - 2 >= verbs[i].least &&
		    argc - 2 <= verbs[i].most)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "flow send|recv|bulk|serve|sink|cost ...: see the head of the source\n");
	return 2;
}
