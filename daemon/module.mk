# SPDX-License-Identifier: GPL-2.0-only
# The daemon and its control tool. The tool shares the control protocol with
# the daemon and nothing else.
control-srcs := $(sort $(wildcard daemon/control/*.cc))
doctor-srcs  := $(sort $(wildcard daemon/doctor/*.cc))
kmod-srcs    := $(sort $(wildcard daemon/kmod/*.cc))
cluster-srcs := $(sort $(wildcard daemon/cluster/*.cc))
system-srcs  := $(sort $(wildcard daemon/system/*.cc))
daemon-srcs  := $(sort $(wildcard daemon/*.cc)) $(control-srcs) $(cluster-srcs) $(system-srcs) $(doctor-srcs) $(kmod-srcs)

kmod-libs    := -lnl-genl-3 -lnl-3
$(call objs,rel,$(kmod-srcs)) $(call objs,asan,$(kmod-srcs)): CPPFLAGS += -isystem /usr/include/libnl3
cli-srcs     := $(sort $(wildcard daemon/cli/*.cc)) $(control-srcs) $(doctor-srcs) $(kmod-srcs)
# What the unit tests link.
daemon-unit-srcs := $(addprefix daemon/,config.cc node_state.cc put_back.cc retention.cc xl.cc) \
	$(filter-out daemon/cli/main.cc,$(cli-srcs))

PROGS += tlckptctl tlckptd
$(eval $(call program,tlckptctl,rel,$(cli-srcs),-lfmt $(kmod-libs)))
$(eval $(call program,tlckptd,rel,$(daemon-srcs) $(libckpt-srcs),$(libckpt-libs) -lsystemd -lspdlog -lcurl $(kmod-libs)))

PREFIX ?= /usr/local
install-doc := README Documentation/admin-guide.rst daemon/tlckptd.conf.example

# An administrator's configuration is never replaced.
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/systemd/system \
		$(DESTDIR)$(PREFIX)/share/doc/tlckpt $(DESTDIR)/etc/tlckpt
	install -m 755 $(O)/bin/tlckptd $(O)/bin/tlckptctl $(DESTDIR)$(PREFIX)/sbin
	sed 's|@PREFIX@|$(PREFIX)|g' daemon/tlckptd.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/tlckptd.service
	install -m 644 $(install-doc) $(DESTDIR)$(PREFIX)/share/doc/tlckpt
	[ -e $(DESTDIR)/etc/tlckpt/tlckptd.conf ] || \
		install -m 640 daemon/tlckptd.conf.example $(DESTDIR)/etc/tlckpt/tlckptd.conf
