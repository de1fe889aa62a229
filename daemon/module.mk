# SPDX-License-Identifier: GPL-2.0-only
# The daemon and its control tool. The tool shares the control protocol with
# the daemon and nothing else.
control-srcs := $(sort $(wildcard daemon/control/*.cc))
daemon-srcs  := $(sort $(wildcard daemon/*.cc)) $(control-srcs)
cli-srcs     := $(sort $(wildcard daemon/cli/*.cc)) $(control-srcs)
# What the unit tests link.
daemon-unit-srcs := $(addprefix daemon/,config.cc node_state.cc retention.cc) $(control-srcs) \
	$(filter-out daemon/cli/main.cc,$(wildcard daemon/cli/*.cc))

PROGS += tlckptctl
$(eval $(call program,tlckptctl,rel,$(cli-srcs),-lfmt))
