// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into the rig's QEMU: mends its emulation of VMRUN. With an injected interrupt
 * helper_vmrun() delivers it by do_interrupt_x86_hardirq() and leaves its vector in
 * exception_index. If the processor's thread is told to leave its loop before anything
 * resets that, the guest gets the interrupt again, in the first instruction of its handler
 * (Documentation/testing.rst). So in 7.2, which Debian 12 has, and in today's source.
 *
 * The store of the vector is taken out, in memory, before QEMU's main(). If the code is not
 * as expected QEMU does not start: it would fail in guests, and rarely.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef unsigned char u8;

enum { STORE = 6, CLEAR = 10, WINDOW = 96 };

static const u8 *target_of(const u8 *call)
{
	int distance;

	memcpy(&distance, call + 1, sizeof(distance));
	return call + 5 + distance;
}

/* mov %r32, disp32(%r64); movl $0, disp32(%r64): the vector, and exception_is_int. */
static int stores_vector(const u8 *at)
{
	static const u8 zero[4];
	const u8 *clear = at + STORE;

	return at[0] == 0x89 && at[1] >> 6 == 2 && clear[0] == 0xc7 && clear[1] >> 3 == 0x10 &&
	       !memcmp(clear + CLEAR - 4, zero, sizeof(zero));
}

/* The one store in front of the one call of `hardirq` between two functions. */
static u8 *find_store(u8 *from, const u8 *to, const u8 *hardirq)
{
	u8 *found = NULL;

	for (u8 *call = from + WINDOW; call < to; call++) {
		if (*call != 0xe8 || target_of(call) != hardirq)
			continue;
		for (u8 *at = call - WINDOW; at < call - STORE - CLEAR; at++) {
			if (!stores_vector(at))
				continue;
			if (found)
				return NULL;
			found = at;
		}
	}
	return found;
}

static int patch(u8 *at)
{
	static const u8 nop[STORE] = {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00};
	const unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
	u8 *start = at - (unsigned long)at % page;
	const unsigned long length = (unsigned long)(at - start) + STORE;

	if (mprotect(start, length, PROT_READ | PROT_WRITE))
		return -1;
	memcpy(at, nop, STORE);
	return mprotect(start, length, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void mend_vmrun(void)
{
	u8 *from = dlsym(RTLD_DEFAULT, "cpu_svm_check_intercept_param");
	const u8 *to = dlsym(RTLD_DEFAULT, "do_vmexit");
	const u8 *hardirq = dlsym(RTLD_DEFAULT, "do_interrupt_x86_hardirq");
	u8 *store;

	if (!from || !to || !hardirq || to < from)
		return; /* not QEMU, but what starts it */
	unsetenv("LD_PRELOAD");
	store = find_store(from, to, hardirq);
	if (!store || patch(store)) {
		fprintf(stderr, "vmrun_mend: this QEMU's helper_vmrun() is not known: see tests/rig/vmrun_mend.c\n");
		_exit(1);
	}
}
