# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Disks of guests, for the scenarios about them; sourced by those, in a Dom0. Thin volumes are
# of the pool $POOL.
POOL=${POOL:-pool}
export DM_DISABLE_UDEV=1 # there is none here: libdevmapper makes the device nodes

# pool_make DIRECTORY MIB: in two files there
pool_make() {
	modprobe dm-thin-pool
	fallocate -l 32M "$1/pool.meta"
	fallocate -l "$2M" "$1/pool.data"
	losetup /dev/loop2 "$1/pool.meta"
	losetup /dev/loop3 "$1/pool.data"
	dmsetup create "$POOL" --table "0 $(($2 * 2048)) thin-pool /dev/loop2 /dev/loop3 128 0 1 error_if_no_space"
}
# thin NAME ID MIB
thin() {
	dmsetup message "$POOL" 0 "create_thin $2"
	dmsetup create "$1" --table "0 $(($3 * 2048)) thin /dev/mapper/$POOL $2"
}
# lvm_pool_make DIRECTORY MIB: the same by LVM, vg/pool
lvm_pool_make() {
	modprobe dm-thin-pool
	export LVM_SYSTEM_DIR=/tmp/scenario/lvm LVM_SUPPRESS_FD_WARNINGS=1
	mkdir -p $LVM_SYSTEM_DIR
	cat >$LVM_SYSTEM_DIR/lvm.conf <<-CONF
		devices { filter = ["a|^/dev/loop|", "r|.*|"] obtain_device_list_from_udev = 0 use_devicesfile = 0 }
		activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
	CONF
	fallocate -l "$(($2 + 64))M" "$1/pv"
	losetup /dev/loop2 "$1/pv"
	lvm vgcreate -q vg /dev/loop2 && lvm lvcreate -q -L "$2M" -c 64k -T vg/pool
}
pool_devices() { # the ids of all
	dmsetup message "$POOL" 0 reserve_metadata_snap
	thin_ls --no-headers -m -o DEV /dev/loop2 | tr -d ' '
	dmsetup message "$POOL" 0 release_metadata_snap
}

disk_is_good() { workload_query "$1" verify | jq -e '.memory.verdict == "ok" and .disk.verdict == "ok" and .disk.errors == 0 and .disk.done > 0' >/dev/null; }
checked_disk() { workload_query "$1" check-disk >/dev/null; sleep 3; disk_is_good "$1"; }
shown() { jq -e "$1" checkpoint.json >/dev/null; } # of the last checkpoint
disk_of() { jq ".guests[] | select(.name == \"$1\") | .disks[] | select(.name == \"$2\") | $3" checkpoint.json; }

# --- a file system under fsync load, in a guest with rig_ext4=1
make_ext4() { mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=1 "$1" >>mke2fs.log 2>&1; } # DEVICE|FILE
make_ext4_qcow2() { # FILE MIB
	truncate -s "$2M" "$1.raw" && make_ext4 "$1.raw" && qemu-img convert -O qcow2 "$1.raw" "$1" && rm "$1.raw"
}
# load_ext4 GUEST DEVICE [PAUSE]: a file each, written and flushed, and the number of the last
# one; with a pause, what serves the disk in Dom0 leaves its one processor to others, too
load_ext4() {
	guest_run "$1" 'for m in crc16 crc32c_generic mbcache jbd2 ext4; do insmod /lib/$m.ko; done
		mkdir -p /data; mount -t ext4 '"$2"' /data && echo mounted
		(i=0; while :; do i=$((i + 1)); dd if=/dev/urandom of=/data/f$((i % 50)) bs=4k count=4 conv=fsync 2>/dev/null; echo $i >/data/new; mv /data/new /data/last; sync; sleep '"${3:-0}"'; done) >/dev/null 2>&1 </dev/null &
		true' | grep -q mounted
}
ext4_count() { guest_run "$1" 'cat /data/last' | tail -1; }
# Restored, the number is between the checkpoint's before and some time after this one's, in a
# minute or so.
files_go_on() { # GUEST SN
	local now
	now=$(ext4_count "$1")
	say "file $now, asked after checkpoint $2: $(cat "files.$2")"
	[ "$now" -ge "$(cat "files.$(($2 - 1))")" ] && sleep 5 && [ "$(ext4_count "$1")" -gt "$now" ]
}
no_fs_error() { ! guest_run "$1" 'dmesg | tail -50' | grep -E 'EXT4-fs error|I/O error|aborted journal'; }
# What a power cut would have left, and no more: but for the journal nothing is mended but
# the sums of the superblock, which are not in it.
fs_is_sound() { # DEVICE|FILE
	local status
	e2fsck -fy "$1" >e2fsck.log 2>&1
	status=$?
	cat e2fsck.log
	[ $status -le 1 ] && [ "$(grep -c '^Fix' e2fsck.log)" = "$(grep -cE '^Free (blocks|inodes) count wrong' e2fsck.log)" ]
}

# --- checkpoints of GUESTS, and back to them
# note SN: what they hold
note() { for guest in $GUESTS; do workload_query "$guest" history >"$guest.$1.json"; done; }
# back SN: all guests destroyed and restored, disks and memory of one cut
back() {
	local guest expected=() found=()
	guest_destroy_all
	must "restore at $1" tlckptctl restore "$1" >"restore.$1.log"
	cat "restore.$1.log"
	for guest in $GUESTS; do
		must "$guest answers after $1" guest_wait_up "$guest"
		expect "$guest at $1: the disk is the one that memory knows" checked_disk "$guest"
		workload_query "$guest" history >"$guest.after$1.json"
		expected+=(--expect "$guest.$1.json")
		found+=("$guest.after$1.json")
	done
	expect "all stand on the state of $1, disks too" tlckpt-workload-check --goes-on "${expected[@]}" "${found[@]}"
}
