// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures from outside how long a domain is stopped, by the hypervisor's own
 * word and the same for everybody who stops it (tlckptd, xl save, xl remus).
 *   tlckpt-suspend-watch DOMID [PERIOD_ms]
 * prints one line per stop, `BEGIN_ms LENGTH_ms` on the monotonic clock, until
 * SIGTERM or the domain is gone. A look every 4 ms, or every PERIOD_ms, so that it
 * does not itself take much of Dom0: a length is right within that plus what the
 * scheduler adds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <xenctrl.h>

static volatile sig_atomic_t done;

static void on_term(int signal)
{
	(void)signal;
	done = 1;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	long period_ms = argc == 3 ? atol(argv[2]) : 4;
	const struct timespec period = {.tv_nsec = period_ms * 1000000};
	xc_interface *xen = xc_interface_open(NULL, NULL, 0);
	uint32_t domid = argc >= 2 ? (uint32_t)atoi(argv[1]) : 0;
	double since = -1;

	if (!xen || !domid || period_ms < 1 || period_ms > 999) {
		fprintf(stderr, "usage: tlckpt-suspend-watch DOMID [PERIOD_ms], in a Dom0\n");
		return 2;
	}
	signal(SIGTERM, on_term);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	while (!done) {
		xc_dominfo_t info;
		double now;

		if (xc_domain_getinfo(xen, domid, 1, &info) != 1 || info.domid != domid)
			break;
		now = now_ms();
		if (info.shutdown && info.shutdown_reason == SHUTDOWN_suspend) {
			if (since < 0)
				since = now;
		} else if (since >= 0) {
			printf("%.1f %.1f\n", since, now - since);
			fflush(stdout);
			since = -1;
		}
		nanosleep(&period, NULL);
	}
	xc_interface_close(xen);
	return 0;
}
