# SPDX-License-Identifier: GPL-2.0-only
# The real daemon and the real tool together, with guests inside the daemon.
CHECKS += check-daemon
check-daemon: $(O)/bin/tlckptd $(O)/bin/tlckptctl
	@mkdir -p $(O)/results
	tests/daemon/run $(O) $(O)/results/check-daemon.tap
