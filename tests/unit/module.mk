# SPDX-License-Identifier: GPL-2.0-only
# Unit tests of libckpt and the daemon: one program under ASan and UBSan.
unit-srcs := $(sort $(wildcard tests/unit/*.cc tests/unit/*/*.cc)) $(libckpt-srcs) $(daemon-unit-srcs)
$(eval $(call program,unit-test,asan,$(unit-srcs),$(libckpt-libs) -lsystemd -lgmock -lgtest -lgtest_main -lrapidcheck $(kmod-libs)))

CHECKS += check-unit
check-unit: $(O)/bin/unit-test
	@mkdir -p $(O)/results
	tests/gtest-tap $(O)/results/check-unit.tap $<
