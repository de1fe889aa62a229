# SPDX-License-Identifier: GPL-2.0-only
# Real Xen hosts under emulation; how to use them: tests/rig/run.
SCENARIO ?= smoke

$(eval $(call program,tlckpt-suspend-watch,rel,tests/rig/suspend_watch.c,-lxenctrl))
# Dom0's kernel is the oldest that is supported.
rig-programs := $(addprefix $(O)/bin/,tlckpt-suspend-watch vmrun_mend.so) \
	$(kernel-dir)/$(firstword $(kernel-releases))/tlckpt.ko

$(O)/bin/vmrun_mend.so: tests/rig/vmrun_mend.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(FLAVOUR_rel) -shared -fPIC -o $@ $< -ldl

.PHONY: rig rig-shell
rig: all $(rig-programs)
	tests/rig/run -O $(O) -v $(addprefix --set ,$(SET)) $(SCENARIO)

rig-shell: all $(rig-programs)
	tests/rig/run -O $(O) --shell

demo: deps all $(rig-programs)
	tests/rig/run -O $(O) -v --patience 3 demo

RINGS += test-rig
test-rig: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -j 2 --patience 3 -t $(O)/results/test-rig.tap

# As many kills as Documentation/testing.rst speaks of; make test has fewer.
CAMPAIGNS += campaign-kill
campaign-kill: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -v --patience 3 --set KILLS=50 -t $(O)/results/campaign-kill.tap kill
