# SPDX-License-Identifier: GPL-2.0-only
# Malformed input for the carriers' parsers, the stamp codec and the protocol core,
# in user space under ASan and UBSan; tlckpt.ko itself has tests/kselftest/fuzz.sh.
fuzz-srcs := tests/fuzz/stamp_fuzz.cc $(sort $(wildcard kmod/core/*.c))
$(eval $(call program,stamp-fuzz,asan,$(fuzz-srcs),))

CHECKS += check-fuzz
check-fuzz: $(O)/bin/stamp-fuzz
	@mkdir -p $(O)/results
	$< --frames 200000 --seed 1 --tap $(O)/results/$@.tap

CAMPAIGNS += campaign-fuzz
.PHONY: campaign-fuzz
campaign-fuzz: $(O)/bin/stamp-fuzz
	@mkdir -p $(O)/results
	$< --frames 8000000 --seed 2 --tap $(O)/results/$@.tap
