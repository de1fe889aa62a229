// SPDX-License-Identifier: GPL-2.0-only
// The daemon's configuration file (TOML); tlckptd.conf.example has every key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libckpt/base/log.hh"
#include "libckpt/base/result.hh"
#include "libckpt/node/node_checkpointer.hh"

namespace ckpt {

inline constexpr const char *kDefaultConfigPath = "/etc/tlckpt/tlckptd.conf";

// The system level; a node alone has none of it.
struct ClusterConfig {
    std::uint64_t node_id = 0; // 1..; 0: no cluster
    std::uint64_t id = 1;      // of the cluster
    std::string key_file = "/etc/tlckpt/key";
    std::vector<std::string> links;  // interfaces to other nodes
    std::vector<std::string> exempt; // Dom0's link-layer addresses, beside the links' own
    std::string mode = "ms";
    bool automatic = true; // a recovery begins by itself
    std::uint64_t lease_s = 10;
    std::string fence; // command that takes a node down for certain; empty: by store and time
    std::uint64_t hold_frames = 4096, hold_mib = 16, log_mib = 16, grace_ms = 10000;
    std::vector<std::string> etcd; // endpoints
    std::string etcd_ca, etcd_cert, etcd_key, etcd_user, etcd_password_file;
};

struct Config {
    std::string node; // empty: this host's name
    std::string backend = "xen";
    std::string state_directory = "/var/lib/tlckpt";
    std::string socket; // empty: control::kDefaultSocket
    LogLevel log_level = LogLevel::info;

    std::string store_directory = "/var/lib/tlckpt/store";
    std::uint64_t keep = 24; // newest checkpoints that retention leaves; 0: all

    bool protect_all = true;
    std::vector<std::string> protect; // names or uuids, when not all
    std::uint64_t poll_ms = 2000;     // how often new and gone guests are looked for

    std::uint64_t period_ms = 0; // basic checkpoints; 0: none
    std::uint64_t suspend_timeout_ms = 10000;
    std::uint64_t pause_timeout_ms = 20000;
    std::uint64_t max_attempts = 3;
    std::uint64_t staging_mib = 256; // memory between guests and store
    bool verify = false;             // rig: each image against the suspended guest

    EarlyWriteOptions early;

    std::vector<std::string> disks_exclude; // "guest/xvdb": left out of checkpoints
    std::string disks_pool;                 // for restored disks whose own pool is not here
    std::string disks_directory;            // the same for qcow2 files
    std::uint64_t disks_held = 2;           // snapshots of a disk that stay in its pool
    std::uint64_t disks_warn_percent = 80, disks_refuse_percent = 95;

    ClusterConfig cluster;

    // The test backend: guests inside the daemon.
    std::uint64_t process_guests = 2;
    std::uint64_t process_first = 1; // number of the first: nodes of one store differ
    std::uint64_t process_memory_mib = 16;
};

// Errors name file, line, key and what is allowed. ENOENT: no such file.
Result<Config> load_config(const std::string &path);
// The same from memory; `name` stands for the file in messages.
Result<Config> parse_config(std::string_view text, const std::string &name);

} // namespace ckpt
