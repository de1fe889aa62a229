// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fails each allocation of the kernel's, one after the other, in what a tool asks of
 * it (CONFIG_FAILSLAB); to be preloaded:
 *   LD_PRELOAD=failnth.so COMMAND...
 * Each message that the tool sends is sent again and again, with the first, the second
 * ... allocation failing and the answers thrown away, until all of them succeed: that
 * answer the tool gets. So does insmod load its module; of the many allocations every
 * STEP_OF_LOAD-th fails. Says at the end how many failed: "failnth: N".
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STEP_OF_LOAD = 9 };

static int control = -1;
static int failed;

__attribute__((constructor)) static void begin(void)
{
	control = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (control < 0) {
		perror("failnth");
		_exit(2);
	}
}

__attribute__((destructor)) static void end(void)
{
	fprintf(stderr, "failnth: %d\n", failed);
}

/* The nth allocation from now on fails; 0: none. */
static void arm(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(control, text, (size_t)len, 0) != len)
		_exit(2);
}

/* Did it fail? Else there were fewer. */
static int has_failed(void)
{
	char text[16] = "";

	if (pread(control, text, sizeof(text) - 1, 0) <= 0)
		_exit(2);
	arm(0);
	if (atoi(text))
		return 0;
	failed++;
	return 1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
	static char answers[65536];
	ssize_t done;

	for (int nth = 1;; nth++) {
		arm(nth);
		done = real(fd, message, flags);
		if (!has_failed())
			return done;
		while (recv(fd, answers, sizeof(answers), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
			errno = 0;
	}
}

/* libkmod's way to finit_module(2): three arguments. */
long syscall(long number, ...)
{
	long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	long a, b, c, done;
	va_list list;

	va_start(list, number);
	a = va_arg(list, long);
	b = va_arg(list, long);
	c = va_arg(list, long);
	va_end(list);
	if (number != SYS_finit_module)
		return real(number, a, b, c);
	for (int nth = 1;; nth += STEP_OF_LOAD) {
		arm(nth);
		done = real(number, a, b, c);
		if (!has_failed())
			return done;
		if (!done) /* it could do without */
			real(SYS_delete_module, "tlckpt", 0L, 0L);
	}
}
