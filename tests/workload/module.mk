# SPDX-License-Identifier: GPL-2.0-only
# The program that runs in the guests: static, for it lives in a bare initramfs
# (Debian has no static libfmt: its header-only form then). The second flavour
# is the one that its own tests run.
workload-srcs := $(sort $(wildcard tests/workload/*.cc))
$(call objs,rel,$(workload-srcs)): CPPFLAGS += -DFMT_HEADER_ONLY
$(eval $(call program,tlckpt-workload,rel,$(workload-srcs),-static -s))
$(eval $(call program,workload-asan,asan,$(workload-srcs),-lfmt))
PROGS += tlckpt-workload

# Its parts one by one, then three of it on the loopback.
workload-test-srcs := $(sort $(wildcard tests/workload/unit/*.cc)) $(filter-out %/main.cc,$(workload-srcs))
$(eval $(call program,workload-test,asan,$(workload-test-srcs),-lfmt -lgmock -lgtest -lgtest_main))

CHECKS += check-workload-unit check-workload
check-workload-unit: $(O)/bin/workload-test
	@mkdir -p $(O)/results
	tests/gtest-tap $(O)/results/check-workload-unit.tap $<

check-workload: $(O)/bin/tlckpt-workload $(O)/bin/workload-asan
	@mkdir -p $(O)/results
	tests/workload/live $(O)/bin $(O)/results/check-workload.tap
