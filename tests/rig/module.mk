# SPDX-License-Identifier: GPL-2.0-only
# Real Xen hosts under emulation; how to use them: tests/rig/run.
SCENARIO ?= smoke

.PHONY: rig rig-shell
rig: all
	tests/rig/run -O $(O) -v $(SCENARIO)

rig-shell: all
	tests/rig/run -O $(O) --shell

RINGS += test-rig
test-rig: all
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -j 2 -t $(O)/results/test-rig.tap
