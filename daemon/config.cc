// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/config.hh"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <type_traits>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ckpt {

namespace {

// One key: where it goes and what it takes. `set` returns whether the value is
// allowed; `allowed` says in words what is.
struct Key {
    std::string path; // "section.key"
    std::string allowed;
    std::function<bool(const toml::node &, Config &)> set;
};

Key integer(const char *path, std::uint64_t Config::*field, std::int64_t least, std::int64_t most,
            bool zero_too = false) {
    auto set = [=](const toml::node &node, Config &config) {
        auto value = node.value_exact<std::int64_t>();
        if (!value || ((*value < least || *value > most) && !(zero_too && *value == 0)))
            return false;
        config.*field = static_cast<std::uint64_t>(*value);
        return true;
    };
    return {path,
            fmt::format("{}an integer from {} to {}", zero_too ? "0 (off) or " : "", least, most),
            set};
}

// The same for a member of the early write-out's options.
template <typename T>
Key early(const char *path, T EarlyWriteOptions::*field, std::int64_t least, std::int64_t most) {
    auto set = [=](const toml::node &node, Config &config) {
        auto value = node.value_exact<std::int64_t>();
        if (!value || *value < least || *value > most)
            return false;
        if constexpr (std::is_same_v<T, Duration>)
            config.early.*field = std::chrono::milliseconds(*value);
        else
            config.early.*field = static_cast<T>(*value);
        return true;
    };
    return {path, fmt::format("an integer from {} to {}", least, most), set};
}

// The same for a member of the cluster's part.
Key cluster(const char *path, std::uint64_t ClusterConfig::*field, std::int64_t least,
            std::int64_t most) {
    auto set = [=](const toml::node &node, Config &config) {
        auto value = node.value_exact<std::int64_t>();
        if (!value || *value < least || *value > most)
            return false;
        config.cluster.*field = static_cast<std::uint64_t>(*value);
        return true;
    };
    return {path, fmt::format("an integer from {} to {}", least, most), set};
}

Key cluster(const char *path, std::string ClusterConfig::*field, const char *allowed,
            bool (*fits)(std::string_view)) {
    auto set = [=](const toml::node &node, Config &config) {
        auto value = node.value_exact<std::string>();
        if (!value || !fits(*value))
            return false;
        config.cluster.*field = *value;
        return true;
    };
    return {path, allowed, set};
}

Key cluster(const char *path, std::vector<std::string> ClusterConfig::*field) {
    auto set = [=](const toml::node &node, Config &config) {
        const toml::array *list = node.as_array();
        if (!list)
            return false;
        (config.cluster.*field).clear();
        for (const toml::node &item : *list) {
            auto value = item.value_exact<std::string>();
            if (!value || value->empty())
                return false;
            (config.cluster.*field).push_back(*value);
        }
        return true;
    };
    return {path, "a list of texts", set};
}

bool any_text(std::string_view value) { return !value.empty(); }
bool mode_name(std::string_view value) { return value == "ms" || value == "bcs"; }

Key boolean(const char *path, std::function<bool &(Config &)> field) {
    auto set = [=](const toml::node &node, Config &config) {
        auto value = node.value_exact<bool>();
        if (value)
            field(config) = *value;
        return value.has_value();
    };
    return {path, "true or false", set};
}

bool set_write_budget(const toml::node &node, Config &config) {
    auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= 1.0 && *value <= 100.0))
        return false;
    config.early.write_budget = *value;
    return true;
}

Key text(const char *path, std::string Config::*field, const char *allowed,
         bool (*fits)(std::string_view)) {
    auto set = [=](const toml::node &node, Config &config) {
        auto value = node.value_exact<std::string>();
        if (!value || !fits(*value))
            return false;
        config.*field = *value;
        return true;
    };
    return {path, allowed, set};
}

bool absolute_path(std::string_view value) { return value.size() > 1 && value[0] == '/'; }

bool node_name(std::string_view value) {
    return !value.empty() && value.size() <= 64 && value[0] != '.' &&
           std::ranges::all_of(value, [](unsigned char c) {
               return std::isalnum(c) || c == '-' || c == '_' || c == '.';
           });
}

bool backend_name(std::string_view value) { return value == "xen" || value == "process"; }

bool set_log_level(const toml::node &node, Config &config) {
    static constexpr std::pair<std::string_view, LogLevel> levels[] = {
        {"debug", LogLevel::debug},
        {"info", LogLevel::info},
        {"warning", LogLevel::warning},
        {"error", LogLevel::error}};
    auto value = node.value_exact<std::string>();
    for (auto [name, level] : levels)
        if (value == name) {
            config.log_level = level;
            return true;
        }
    return false;
}

bool set_guests(const toml::node &node, Config &config) {
    config.protect.clear();
    config.protect_all = node.value_exact<std::string>() == "all";
    if (config.protect_all)
        return true;
    const toml::array *list = node.as_array();
    if (!list)
        return false;
    for (const toml::node &item : *list) {
        auto value = item.value_exact<std::string>();
        if (!value || value->empty())
            return false;
        config.protect.push_back(*value);
    }
    return true;
}

bool device_name(std::string_view value) {
    return !value.empty() && value.find('/') == value.npos;
}

bool set_excluded(const toml::node &node, Config &config) {
    config.disks_exclude.clear();
    const toml::array *list = node.as_array();
    if (!list)
        return false;
    for (const toml::node &item : *list) {
        auto value = item.value_exact<std::string>();
        const auto slash = value ? value->find('/') : std::string::npos;
        if (slash == std::string::npos || slash == 0 || slash + 1 == value->size())
            return false;
        config.disks_exclude.push_back(*value);
    }
    return true;
}

const std::vector<Key> &keys() {
    static constexpr const char *path_rule = "an absolute path";
    static const std::vector<Key> all = {
        text("node", &Config::node, "1 to 64 letters, digits, '-', '_' or '.'", node_name),
        text("backend", &Config::backend, "\"xen\" or \"process\" (tests only)", backend_name),
        text("state_directory", &Config::state_directory, path_rule, absolute_path),
        text("socket", &Config::socket, path_rule, absolute_path),
        {"log_level", "\"debug\", \"info\", \"warning\" or \"error\"", set_log_level},
        text("store.directory", &Config::store_directory, path_rule, absolute_path),
        integer("store.keep", &Config::keep, 1, 1000000, true),
        {"protect.guests", "\"all\" or a list of names and uuids", set_guests},
        integer("protect.poll_ms", &Config::poll_ms, 100, 600000),
        integer("checkpoint.period_ms", &Config::period_ms, 100, 86400000, true),
        integer("checkpoint.suspend_timeout_ms", &Config::suspend_timeout_ms, 100, 600000),
        integer("checkpoint.pause_timeout_ms", &Config::pause_timeout_ms, 100, 600000),
        integer("checkpoint.max_attempts", &Config::max_attempts, 1, 100),
        integer("checkpoint.staging_mib", &Config::staging_mib, 8, 65536),
        boolean("checkpoint.verify", [](Config &c) -> bool & { return c.verify; }),
        boolean("early.enabled", [](Config &c) -> bool & { return c.early.enabled; }),
        early("early.target_pages", &EarlyWriteOptions::target_pages, 1, 1 << 24),
        early("early.max_pages", &EarlyWriteOptions::max_pages, 1, 1 << 24),
        early("early.idle_rounds", &EarlyWriteOptions::idle_rounds, 1, 1000),
        early("early.round_min_ms", &EarlyWriteOptions::round_min, 1, 60000),
        early("early.round_max_ms", &EarlyWriteOptions::round_max, 1, 600000),
        {"early.write_budget", "a number from 1 to 100", set_write_budget},
        {"disks.exclude", "a list of \"GUEST/DISK\", as \"web1/xvdb\"", set_excluded},
        text("disks.pool", &Config::disks_pool, "the name of a thin pool's device", device_name),
        text("disks.directory", &Config::disks_directory, path_rule, absolute_path),
        integer("disks.held", &Config::disks_held, 1, 1000),
        integer("disks.warn_percent", &Config::disks_warn_percent, 1, 100),
        integer("disks.refuse_percent", &Config::disks_refuse_percent, 1, 100),
        cluster("cluster.node_id", &ClusterConfig::node_id, 1, 65535),
        cluster("cluster.id", &ClusterConfig::id, 0, 4294967295),
        cluster("cluster.key_file", &ClusterConfig::key_file, path_rule, absolute_path),
        cluster("cluster.links", &ClusterConfig::links),
        cluster("cluster.exempt", &ClusterConfig::exempt),
        cluster("cluster.mode", &ClusterConfig::mode, "\"ms\" or \"bcs\"", mode_name),
        boolean("cluster.auto", [](Config &c) -> bool & { return c.cluster.automatic; }),
        cluster("cluster.lease_s", &ClusterConfig::lease_s, 2, 3600),
        cluster("cluster.fence", &ClusterConfig::fence, "a command", any_text),
        cluster("cluster.hold_frames", &ClusterConfig::hold_frames, 1, 1000000),
        cluster("cluster.hold_mib", &ClusterConfig::hold_mib, 1, 4096),
        cluster("cluster.log_mib", &ClusterConfig::log_mib, 1, 4096),
        cluster("cluster.grace_ms", &ClusterConfig::grace_ms, 0, 3600000),
        cluster("etcd.endpoints", &ClusterConfig::etcd),
        cluster("etcd.ca_file", &ClusterConfig::etcd_ca, path_rule, absolute_path),
        cluster("etcd.cert_file", &ClusterConfig::etcd_cert, path_rule, absolute_path),
        cluster("etcd.key_file", &ClusterConfig::etcd_key, path_rule, absolute_path),
        cluster("etcd.user", &ClusterConfig::etcd_user, "a text", any_text),
        cluster("etcd.password_file", &ClusterConfig::etcd_password_file, path_rule, absolute_path),
        integer("process.first", &Config::process_first, 1, 200),
        integer("process.guests", &Config::process_guests, 1, 64),
        integer("process.memory_mib", &Config::process_memory_mib, 1, 4096),
    };
    return all;
}

// The keys that may stand beside `path`, for the message about an unknown one.
std::string siblings(std::string_view path) {
    auto dot = path.rfind('.');
    std::string section(path.substr(0, dot == path.npos ? 0 : dot + 1));
    std::string names;
    for (const Key &key : keys()) {
        if (!key.path.starts_with(section))
            continue;
        std::string name = key.path.substr(section.size());
        if (auto inner = name.find('.'); inner != name.npos)
            name = "[" + name.substr(0, inner) + "]";
        if (names.find(name) == names.npos)
            names += (names.empty() ? "" : ", ") + name;
    }
    return names;
}

tl::unexpected<Error> wrong(const std::string &file, const toml::node &node, std::string_view path,
                            std::string_view what) {
    return fail(EINVAL, "{}:{}: {}: {}", file, node.source().begin.line, path, what);
}

Status apply(const toml::table &table, const std::string &prefix, const std::string &file,
             Config &config) {
    for (auto &&[name, node] : table) {
        std::string path = prefix + std::string(name.str());
        auto key = std::ranges::find(keys(), path, &Key::path);
        bool section = std::ranges::any_of(
            keys(), [&](const Key &k) { return k.path.starts_with(path + "."); });
        if (key != keys().end()) {
            if (!key->set(node, config))
                return wrong(file, node, path, "must be " + key->allowed);
        } else if (section) {
            if (!node.is_table())
                return wrong(file, node, path, "must be a section: [" + path + "]");
            CKPT_CHECK(apply(*node.as_table(), path + ".", file, config));
        } else {
            std::string known = siblings(path);
            return wrong(file, node, path,
                         "unknown key" + (known.empty() ? "" : "; known here: " + known));
        }
    }
    return {};
}

// A node alone has no [cluster]; with one, what has no default is needed.
Status check_cluster(const toml::table &table, const Config &config, const std::string &file) {
    const ClusterConfig &cluster = config.cluster;
    if (!table.contains("cluster")) {
        if (table.contains("etcd"))
            return fail(EINVAL, "{}: [etcd] is of no use without a section [cluster]", file);
        return {};
    }
    const char *missing = !cluster.node_id                                  ? "cluster.node_id"
                          : cluster.links.empty() && config.backend == "xen" ? "cluster.links"
                          : cluster.etcd.empty()                             ? "etcd.endpoints"
                                                                             : nullptr;
    if (missing)
        return fail(EINVAL, "{}: a cluster needs {}", file, missing);
    return {};
}

} // namespace

Result<Config> parse_config(std::string_view text, const std::string &name) {
    toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
        const toml::parse_error &error = parsed.error();
        return fail(EINVAL, "{}:{}: not TOML: {}", name, error.source().begin.line,
                    error.description());
    }
    Config config;
    CKPT_CHECK(apply(parsed.table(), "", name, config));
    CKPT_CHECK(check_cluster(parsed.table(), config, name));
    return config;
}

Result<Config> load_config(const std::string &path) {
    std::ifstream stream(path);
    if (!stream)
        return fail(errno, "configuration {}", path);
    std::ostringstream text;
    text << stream.rdbuf();
    if (stream.bad() || text.bad())
        return fail(EIO, "configuration {}", path);
    return parse_config(text.str(), path);
}

} // namespace ckpt
