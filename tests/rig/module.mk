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

# By hand, without -j: it builds on all processors all the same.
.PHONY: rig-ready
rig-ready: all $(rig-programs)
demo: deps
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) rig-ready
	tests/rig/run -O $(O) -v --patience 3 demo

RINGS += test-rig
test-rig: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -j 2 --patience 3 -t $(O)/results/test-rig.tap

# Several hosts, one boot after another: each wants all processors.
CAMPAIGNS += campaign-hosts
campaign-hosts: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -v --patience 3 -t $(O)/results/campaign-hosts.tap lines outage strangers redis com three-nodes moments

# Disks: thin volumes and qcow2 files, what fails, a lost host.
CAMPAIGNS += campaign-disks
campaign-disks: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -j 2 --patience 3 -t $(O)/results/$@.tap disks disks-qcow2 disks-many disks-faults disks-loss

# As many kills as Documentation/testing.rst speaks of; make test has fewer.
CAMPAIGNS += campaign-kill
campaign-kill: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) -v --patience 3 --set KILLS=50 -t $(O)/results/campaign-kill.tap kill

# How long a guest stands still, against stock `xl save -c` and `xl remus`: in one
# run of one guest on the emulated host.
LONG_BENCHES += bench-pause
bench-pause: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) --patience 3 -t $(O)/results/$@.tap pause

# From the loss of a host to an application that runs again, with its parts: lease,
# decision, guests put back, replay. Two emulated hosts with one guest each.
LONG_BENCHES += bench-recovery
bench-recovery: all $(rig-programs)
	@mkdir -p $(O)/results
	tests/rig/run -O $(O) --patience 3 -t $(O)/results/$@.tap two-nodes
	@sed -n 's/^# two-nodes: \(from the loss\|of that\)/\1/p' $(O)/results/$@.tap
