# SPDX-License-Identifier: GPL-2.0-only
# tlckpt-sim: the shipped protocol under simulated traffic, time and faults.
sim-srcs := $(sort $(wildcard tests/sim/*.cc libckpt/protocol/*.cc kmod/core/*.c))
sim-objs := $(call objs,rel,$(sim-srcs))
$(eval $(call program,tlckpt-sim,rel,$(sim-srcs),-lfmt))
PROGS += tlckpt-sim

CHECKS += check-sim
check-sim: $(O)/bin/tlckpt-sim
	@mkdir -p $(O)/results
	tests/sim/run $< 500 $(O)/results/check-sim.tap

# Every wrong rule is caught; mutants.toml has them.
CHECKS += check-mutants
check-mutants: $(O)/bin/tlckpt-sim
	@mkdir -p $(O)/results $(O)/mutants
	$(Q)CC="$(CC) $(CPPFLAGS) $(CFLAGS)" CXX="$(CXX) $(CPPFLAGS) $(CXXFLAGS)" \
		SIM_OBJECTS="$(sim-objs)" tests/sim/mutants $(O) $(O)/results/check-mutants.tap

CAMPAIGNS += campaign-sim
campaign-sim: $(O)/bin/tlckpt-sim
	@mkdir -p $(O)/results
	tests/sim/run $< 10000 $(O)/results/campaign-sim.tap

# Events per second and bytes per guest; Documentation/simulator.rst.
BENCHES += bench-sim
bench-sim: $(O)/bin/tlckpt-sim
	@mkdir -p $(O)/results
	tests/sim/bench $< $(O)/results/bench-sim.tap $(O)/results/bench-sim.rst

# Figure 5 of the paper, and what it leaves open; Documentation/figure5.rst.
FIGURES += figure5
.PHONY: figure5
figure5: $(O)/bin/tlckpt-sim
	tests/sim/figures $< $(O)/figures
