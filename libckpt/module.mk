# SPDX-License-Identifier: GPL-2.0-only
# The checkpoint library: knows nothing of daemon, netlink or etcd.
libckpt-srcs := $(sort $(wildcard libckpt/*/*.cc libckpt/*/*.c kmod/core/*.c))
libckpt-libs := -luring -lisal -lfmt -lxenctrl -lxenguest -lxenforeignmemory -lxenevtchn -lxenstore \
                -lxendevicemodel -lxencall -ldevmapper -lnbd
