# SPDX-License-Identifier: GPL-2.0-only
# The kernel ring: tlckpt.ko built for each supported kernel and run under
# emulation with tests/kselftest.
kernel-releases := $(notdir $(patsubst %/build,%,$(wildcard /lib/modules/*-amd64/build)))
kernel-dir      := $(O)/kernel
kmod-files      := $(shell git ls-files kmod include)

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
	$(Q)tests/kernel/initramfs $@ $(if $(filter debug,$*),,/lib/modules/$* $*)

define newline


endef

define kernel-run
	@mkdir -p $(O)/results
	@rm -rf $(kernel-dir)/$(1)/test && mkdir -p $(kernel-dir)/$(1)/test
	@cp tests/kselftest/* $(O)/bin/tlckptctl $(O)/bin/udpseq $(kernel-dir)/$(1)/tlckpt.ko $(kernel-dir)/$(1)/test
	$(Q)tests/kernel/run --name $(1) --initrd $(kernel-dir)/$(1)/initrd.gz \
		--add $(kernel-dir)/$(1)/test --out $(2) $(3)
endef

$(eval $(call program,udpseq,rel,tests/kselftest/udpseq.c,))
kernel-tools := $(O)/bin/tlckptctl $(O)/bin/udpseq

RINGS += test-kernel
.PHONY: test-kernel-debug
test-kernel: $(foreach release,$(kernel-releases),$(kernel-dir)/$(release)/tlckpt.ko $(kernel-dir)/$(release)/initrd.gz) $(kernel-tools)
	@rm -f $(O)/results/$@.tap
	$(foreach release,$(kernel-releases),$(call kernel-run,$(release),$(O)/results/$@.tap,--time 900 --kernel /boot/vmlinuz-$(release))$(newline))

test-kernel-debug: $(kernel-dir)/debug/tlckpt.ko $(kernel-dir)/debug/initrd.gz $(kernel-tools)
	@rm -f $(O)/results/$@.tap
	$(call kernel-run,debug,$(O)/results/$@.tap,--memory 1536 --time 900 --kernel $$(tests/kernel/debug-kernel)/bzImage)

# The module alone, with every check of the kernel's build.
.PHONY: kmod
kmod: $(foreach release,$(kernel-releases),$(kernel-dir)/$(release)/tlckpt.ko)
