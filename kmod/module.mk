# SPDX-License-Identifier: GPL-2.0-only
# The module's sources where dkms looks for them: dkms install tlckpt/VERSION.
dkms-name  := tlckpt-$(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' kmod/dkms.conf)
kmod-files := $(shell git ls-files kmod include)

.PHONY: install-dkms
install-dkms:
	install -d $(DESTDIR)/usr/src/$(dkms-name)
	cp --parents $(kmod-files) $(DESTDIR)/usr/src/$(dkms-name)
	cp kmod/dkms.conf COPYING $(DESTDIR)/usr/src/$(dkms-name)
