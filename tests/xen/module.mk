# SPDX-License-Identifier: GPL-2.0-only
# The Xen backend by itself, for rig scenarios and developers: no store, no
# daemon, images in memory.
xen-probe-srcs := $(wildcard tests/xen/*.cc) $(libckpt-srcs)
$(eval $(call program,tlckpt-xen-probe,rel,$(xen-probe-srcs),$(libckpt-libs)))
PROGS += tlckpt-xen-probe
