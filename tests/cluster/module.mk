# SPDX-License-Identifier: GPL-2.0-only
# The daemon's cluster part against a real etcd on loopback.
cluster-test-srcs := $(sort $(wildcard tests/cluster/*.cc)) $(cluster-srcs) daemon/event_loop.cc \
	$(sort $(wildcard libckpt/protocol/*.cc kmod/core/*.c))
$(eval $(call program,cluster-test,asan,$(cluster-test-srcs),-lfmt -lsystemd -lcurl -lgtest -lgtest_main))

CHECKS += check-cluster
check-cluster: $(O)/bin/cluster-test
	@mkdir -p $(O)/results
	tests/gtest-tap $(O)/results/check-cluster.tap $<
