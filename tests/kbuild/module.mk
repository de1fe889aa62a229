# SPDX-License-Identifier: GPL-2.0-only
# The module as kernel code, built by the rules of the kernel ring (tests/kernel/module.mk)
# against every installed header package; what the ring runs is not built again. And by
# dkms, for the oldest kernel.
CHECKS += check-kbuild
check-kbuild: kmod
	@mkdir -p $(O)/results
	tests/kbuild/run $(O)/results/$@.tap $(foreach release,$(kernel-releases),$(kernel-dir)/$(release)/tlckpt.ko)
	$(if $(kernel-releases),tests/kbuild/dkms $(O)/results/$@.tap $(firstword $(kernel-releases)))
