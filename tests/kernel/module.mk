# SPDX-License-Identifier: GPL-2.0-only
# The kernel ring: tlckpt.ko built for each supported kernel and run under
# emulation with tests/kselftest.
kernel-releases := $(notdir $(patsubst %/build,%,$(wildcard /lib/modules/*-amd64/build)))
kernel-dir      := $(O)/kernel

# Kbuild leaves its objects beside the sources: each kernel gets a copy. Without
# MAKEFLAGS: our O would be taken for Kbuild's own.
define kernel-module
$(kernel-dir)/$(1)/tlckpt.ko: $(kmod-files)
	@rm -rf $$(@D)/source && mkdir -p $$(@D)/source
	@cp -r kmod include $$(@D)/source
	@echo "  KMOD    $(1)"
	$(Q)env -u MAKEFLAGS -u MFLAGS make -s -C $$(@D)/source/kmod KDIR=$$(or $(2),/lib/modules/$(1)/build) W=1 $(3)
	$(Q)strip -g -o $$@ $$(@D)/source/kmod/tlckpt.ko
endef
$(foreach release,$(kernel-releases),$(eval $(call kernel-module,$(release),,C=1)))
$(eval $(call kernel-module,debug,$$(shell tests/kernel/debug-kernel)/build,))

$(kernel-dir)/%/initrd.gz: tests/kernel/initramfs tests/kernel/init
	@mkdir -p $(@D)
	$(Q)tests/kernel/initramfs $@ $(if $(filter debug,$*),$$(tests/kernel/debug-kernel)/lib/modules/*,/lib/modules/$*)

comma := ,

define newline


endef

define kernel-run
	@mkdir -p $(O)/results
	@rm -rf $(kernel-dir)/$(1)/test && mkdir -p $(kernel-dir)/$(1)/test
	@cp tests/kselftest/* $(kernel-tools) $(kernel-dir)/$(1)/tlckpt.ko $(kernel-dir)/$(1)/test
	$(Q)tests/kernel/run --name $(1) --initrd $(kernel-dir)/$(1)/initrd.gz \
		--add $(kernel-dir)/$(1)/test --out $(2) $(3)
endef

$(eval $(call program,flow,rel,tests/kselftest/flow.c,))
$(eval $(call program,fuzz,rel,tests/kselftest/fuzz.c $(wildcard kmod/core/*.c),))
kernel-tools := $(addprefix $(O)/bin/,tlckptctl flow fuzz failnth.so)

$(O)/bin/failnth.so: tests/kselftest/failnth.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(FLAVOUR_rel) -shared -fPIC -o $@ $< -ldl

# The switches are dealt to the kernels, for time: `all` has both.
switch-of = $(if $(filter $(firstword $(kernel-releases)),$(1)),bridge,ovs)

# A machine runs on one processor (tests/kernel/run): the kernels run side by side.
RINGS += test-kernel
.PHONY: test-kernel-begin test-kernel-debug $(addprefix test-kernel-,$(kernel-releases))
test-kernel: $(addprefix test-kernel-,$(kernel-releases))
test-kernel-begin:
	@rm -f $(O)/results/test-kernel.tap

$(addprefix test-kernel-,$(kernel-releases)): test-kernel-%: $(kernel-dir)/%/tlckpt.ko $(kernel-dir)/%/initrd.gz $(kernel-tools) | test-kernel-begin
	$(call kernel-run,$*,$(O)/results/test-kernel.tap,--time 1500 \
		--kernel /boot/vmlinuz-$* --append switches=$(call switch-of,$*))

# TESTS=traffic,unload: these scripts only.
test-kernel-debug: $(kernel-dir)/debug/tlckpt.ko $(kernel-dir)/debug/initrd.gz $(kernel-tools)
	@rm -f $(O)/results/$@.tap
	$(call kernel-run,debug,$(O)/results/$@.tap,--memory 1536 --time 7200 --kernel $$(tests/kernel/debug-kernel)/bzImage \
		--append "octets=1000000 $(addprefix tests=,$(TESTS))")

# Instructions per frame, by a machine that counts them; on the oldest kernel.
.PHONY: bench-kernel
bench-kernel: $(kernel-dir)/$(firstword $(kernel-releases))/tlckpt.ko $(kernel-dir)/$(firstword $(kernel-releases))/initrd.gz $(kernel-tools)
	$(call kernel-run,$(firstword $(kernel-releases)),$(kernel-dir)/cost.tap,--time 900 --cpus 1 --icount \
		--kernel /boot/vmlinuz-$(firstword $(kernel-releases)) --append tests=cost) >$(kernel-dir)/cost.txt
	tests/kernel/cost $(kernel-dir)/cost.txt $(O)/results/$@.tap

# A million malformed frames, Geneve packets and netlink requests each, and 200 loads. The
# tenth part of the frames is refused before it leaves.
.PHONY: campaign-kernel
campaign-kernel: $(kernel-dir)/$(firstword $(kernel-releases))/tlckpt.ko $(kernel-dir)/$(firstword $(kernel-releases))/initrd.gz $(kernel-tools)
	@rm -f $(O)/results/$@.tap
	$(call kernel-run,$(firstword $(kernel-releases)),$(O)/results/$@.tap,--time 7200 \
		--kernel /boot/vmlinuz-$(firstword $(kernel-releases)) --append "tests=fuzz$(comma)unload count=1120000 rounds=200")

# The module alone, with every check of the kernel's build.
.PHONY: kmod
kmod: $(foreach release,$(kernel-releases),$(kernel-dir)/$(release)/tlckpt.ko)
