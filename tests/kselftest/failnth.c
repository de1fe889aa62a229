// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fails one allocation of the kernel's in what a tool asks of it (CONFIG_FAILSLAB);
 * to be preloaded:
 *   FAIL_NTH=N LD_PRELOAD=failnth.so COMMAND...
 * Counts, and fails the Nth of, the allocations while the tool sends and receives
 * messages, or loads a module. Its last words on standard error are "failnth: failed"
 * or "failnth: not reached": there are fewer than N.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int control = -1;
static int left; /* allocations until the one that fails; 0: it has */

__attribute__((constructor)) static void begin(void)
{
	const char *nth = getenv("FAIL_NTH");

	control = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	left = nth ? atoi(nth) : 0;
	if (control < 0 || left <= 0) {
		perror("failnth");
		_exit(2);
	}
}

__attribute__((destructor)) static void end(void)
{
	fprintf(stderr, "failnth: %s\n", left ? "not reached" : "failed");
}

static void arm(int count)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", count);

	if (pwrite(control, text, (size_t)len, 0) != len)
		_exit(2);
}

static void count_on(void)
{
	if (left)
		arm(left);
}

/* What is left of the count stays for the next call. */
static void count_off(void)
{
	char text[16] = "";

	if (!left)
		return;
	if (pread(control, text, sizeof(text) - 1, 0) <= 0)
		_exit(2);
	left = atoi(text);
	arm(0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
	ssize_t done;

	count_on();
	done = real(fd, message, flags);
	count_off();
	return done;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
	ssize_t done;

	count_on();
	done = real(fd, message, flags);
	count_off();
	return done;
}

/* libkmod's way to finit_module(2): three arguments. */
long syscall(long number, ...)
{
	long (*real)(long, long, long, long) = dlsym(RTLD_NEXT, "syscall");
	long a, b, c, done;
	va_list list;

	va_start(list, number);
	a = va_arg(list, long);
	b = va_arg(list, long);
	c = va_arg(list, long);
	va_end(list);
	if (number == SYS_finit_module || number == SYS_init_module)
		count_on();
	done = real(number, a, b, c);
	if (number == SYS_finit_module || number == SYS_init_module)
		count_off();
	return done;
}
