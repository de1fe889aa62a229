# SPDX-License-Identifier: GPL-2.0-only
# The shared C as kernel code: built by Kbuild with W=1 -Werror against every
# installed header package, one verdict each.
CHECKS += check-kbuild
check-kbuild:
	@mkdir -p $(O)/results
	tests/kbuild/run $(O) $(O)/results/check-kbuild.tap
