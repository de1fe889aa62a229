# SPDX-License-Identifier: GPL-2.0-only
# The daemon and its control tool. The tool shares the control protocol with
# the daemon and nothing else.
control-srcs := $(sort $(wildcard daemon/control/*.cc))
daemon-srcs  := $(sort $(wildcard daemon/*.cc)) $(control-srcs)
kmod-srcs    := $(sort $(wildcard daemon/kmod/*.cc))
kmod-libs    := -lnl-genl-3 -lnl-3
$(call objs,rel,$(kmod-srcs)) $(call objs,asan,$(kmod-srcs)): CPPFLAGS += -isystem /usr/include/libnl3
cli-srcs     := $(sort $(wildcard daemon/cli/*.cc)) $(control-srcs) $(kmod-srcs)
# What the unit tests link.
daemon-unit-srcs := $(addprefix daemon/,config.cc node_state.cc retention.cc) \
	$(filter-out daemon/cli/main.cc,$(cli-srcs))

PROGS += tlckptctl
$(eval $(call program,tlckptctl,rel,$(cli-srcs),-lfmt $(kmod-libs)))
