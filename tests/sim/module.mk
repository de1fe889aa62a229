# SPDX-License-Identifier: GPL-2.0-only
# tlckpt-sim: the shipped protocol under simulated traffic, time and faults.
sim-srcs := $(sort $(wildcard tests/sim/*.cc libckpt/protocol/*.cc kmod/core/*.c))
$(eval $(call program,tlckpt-sim,rel,$(sim-srcs),-lfmt))
PROGS += tlckpt-sim

CHECKS += check-sim
check-sim: $(O)/bin/tlckpt-sim
	@mkdir -p $(O)/results
	tests/sim/run $(O)/bin/tlckpt-sim 500 $(O)/results/check-sim.tap

CAMPAIGNS += campaign-sim
campaign-sim: $(O)/bin/tlckpt-sim
	@mkdir -p $(O)/results
	tests/sim/run $(O)/bin/tlckpt-sim 10000 $(O)/results/campaign-sim.tap
