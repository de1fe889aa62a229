// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbered datagrams, for order, loss and duplication:
 *   udpseq send ADDRESS PORT COUNT SIZE GAP_US
 *   udpseq recv PORT IDLE_SECONDS     ends after so long without a datagram
 * The receiver prints "received N lost N reordered N duplicate N damaged N".
 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MAX_COUNT 1000000
#define MAX_SIZE 60000

static unsigned char buffer[MAX_SIZE];
static unsigned char seen[MAX_COUNT];

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

static int do_send(char **args)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(args[1])) };
	uint32_t count = (uint32_t)atoi(args[2]);
	size_t size = (size_t)atoi(args[3]);
	int gap = atoi(args[4]), fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (inet_pton(AF_INET, args[0], &to.sin_addr) != 1 || count > MAX_COUNT ||
	    size > MAX_SIZE || size < 4 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return 2;
	stay_here();
	for (uint32_t i = 0; i < count; i++) {
		fill(i, size);
		/* Refused while nobody listens yet: lost, fine. */
		if (send(fd, buffer, size, 0) < 0)
			continue;
		if (gap)
			usleep((useconds_t)gap);
	}
	return 0;
}

static int do_recv(char **args)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(args[0])) };
	struct timeval idle = { .tv_sec = atoi(args[1]) };
	unsigned long received = 0, reordered = 0, duplicate = 0, bad = 0;
	long newest = -1;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)))
		return 2;
	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
		uint32_t number;

		if (size < (ssize_t)sizeof(number))
			break;
		memcpy(&number, buffer, sizeof(number));
		number = ntohl(number);
		received++;
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
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "send"))
		return do_send(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "recv"))
		return do_recv(argv + 2);
	return 2;
}
