# SPDX-License-Identifier: GPL-2.0-only
# The program that runs in the guests: static, for it lives in a bare initramfs
# (Debian has no static libfmt: its header-only form then). The second flavour
# is the one that its own tests run.
workload-srcs := $(sort $(wildcard tests/workload/*.cc))
$(call objs,rel,$(workload-srcs)): CPPFLAGS += -DFMT_HEADER_ONLY
$(eval $(call program,tlckpt-workload,rel,$(workload-srcs),-static -s))
$(eval $(call program,tlckpt-workload-asan,asan,$(workload-srcs),-lfmt))
PROGS += tlckpt-workload
