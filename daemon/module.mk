# SPDX-License-Identifier: GPL-2.0-only
# The daemon and its control tool. The tool shares the control protocol with
# the daemon and nothing else.
control-srcs := $(sort $(wildcard daemon/control/*.cc))
daemon-srcs  := $(sort $(wildcard daemon/*.cc)) $(control-srcs)
cli-srcs     := $(sort $(wildcard daemon/cli/*.cc)) $(control-srcs)

PROGS += tlckptctl
$(eval $(call program,tlckptctl,rel,$(cli-srcs),-lfmt))
