# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What scenarios use. A scenario is a piece of bash that runs in an emulated
# Dom0 with this file sourced; its verdicts are what it gives to ok/not_ok/
# expect. It works in /tmp/scenario; files it puts into keep/ and *.log there
# come out of the rig.
RIG_OUT=/run/out/${RIG_SCENARIO:-shell}
mkdir -p keep

say() { printf '[%s] %s\n' "$(cut -d' ' -f1 /proc/uptime)" "$*"; }

RIG_PATIENCE=$(cat /rig/patience)
# shellcheck source=tests/rig/lib-verdicts.sh
. /rig/lib-verdicts.sh

# --- guests -----------------------------------------------------------------
# Guest N (1..99) is called gN and has 10.0.0.(100+N).
guest_ip() { echo "10.0.0.$((100 + ${1#g}))"; }

# guest_config NAME pvh|pv MIB [KERNEL_ARGS] [EXTRA_CONFIG_LINES]
guest_config() {
	local name=$1 type=$2 mib=$3 args=${4:-} extra=${5:-}
	cat <<-EOF
		name = "$name"
		type = "$type"
		kernel = "/boot/vmlinux"
		ramdisk = "/rig/${GUEST_IMAGE:-guest.img}"
		extra = "console=hvc0 mitigations=off loglevel=5 rig_ip=$(guest_ip "$name") $args"
		memory = $mib
		vcpus = 1
		vif = ["bridge=xenbr0,mac=00:16:3e:00:00:$(printf %02x "${name#g}")"]
		on_crash = "preserve"
		$extra
	EOF
	# Xen emulates the TSC of PVH guests wrongly under QEMU's own emulation.
	[ "$type" != pvh ] || echo 'tsc_mode = "native"'
}
# guest_create NAME TYPE MIB [KERNEL_ARGS] [EXTRA_CONFIG_LINES]
guest_create() {
	guest_config "$@" >"$1.cfg"
	xl create -q "$1.cfg"
}
guest_domid() { xl domid "$1"; }
guest_exists() { xl domid "$1" >/dev/null 2>&1; }
guest_pings() { ping -c1 -W1 -q "$(guest_ip "$1")" >/dev/null 2>&1; }
guest_wait_up() { poll "${2:-60}" guest_pings "$1"; }
guest_console() { cat "/run/out/consoles/guest-$1.log"; }
# guest_run NAME COMMAND: in the guest's shell; its output comes here
guest_run() { printf '%s; exit\n' "$2" | timeout $((30 * RIG_PATIENCE)) busybox nc "$(guest_ip "$1")" 23; }
guest_destroy_all() {
	xl list | awk 'NR > 1 && $1 != "Domain-0" { print $2 }' | xargs -r -n1 xl destroy
}
# guest_suspended NAME: Xen shows it as shut down for suspend
guest_suspended() { xl list "$1" 2>/dev/null | awk 'NR == 2 { exit $5 !~ /s/ }'; }

# shellcheck source=tests/rig/lib-daemon.sh
. /rig/lib-daemon.sh
# shellcheck source=tests/rig/lib-workload.sh
. /rig/lib-workload.sh
