# SPDX-License-Identifier: GPL-2.0-only
# Every branch of the protocol core is taken by its own unit tests.
core-srcs := $(sort $(wildcard kmod/core/*.c))
core-test-srcs := $(sort $(wildcard tests/unit/core/*.cc)) $(core-srcs)
$(eval $(call program,core-test-cov,cov,$(core-test-srcs),-lgmock -lgtest -lgtest_main))

CHECKS += check-coverage
check-coverage: $(O)/bin/core-test-cov
	@mkdir -p $(O)/results
	tests/coverage/run $(O) $(O)/results/check-coverage.tap
