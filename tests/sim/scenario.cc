// SPDX-License-Identifier: GPL-2.0-only
#include "tests/sim/scenario.hh"

#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <variant>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ckpt::sim {
namespace {

constexpr double kHuge = 1e18;

struct Whole {
    unsigned Scenario::*member;
    double low, high;
};
struct Real {
    double Scenario::*member;
    double low, high;
    bool above_low = false; // low itself is out
};
struct Flag {
    bool Scenario::*member;
};
template <typename Enum> struct Word {
    Enum Scenario::*member;
    std::vector<std::string_view> names;
};

struct Key {
    std::string_view section, name;
    std::variant<Whole, Real, Flag, Word<Mode>, Word<Policy>, Word<Phase>, Word<Pattern>,
                 Word<DelayKind>, Word<Check>>
        what;
};

const std::vector<Key> &keys() {
    constexpr Real kCount{nullptr, 0, 1e6}, kPart{nullptr, 0, 1}, kTime{nullptr, 0, 1e6};
    auto count = [=](double Scenario::*m) { return Real{m, kCount.low, kCount.high}; };
    auto part = [=](double Scenario::*m) { return Real{m, kPart.low, kPart.high}; };
    auto time = [=](double Scenario::*m) { return Real{m, kTime.low, kTime.high}; };
    auto positive = [=](double Scenario::*m, double high) { return Real{m, 0, high, true}; };
    static const std::vector<Key> kKeys = {
        {"cluster", "nodes", Whole{&Scenario::nodes, 1, 65535}},
        {"cluster", "guests", Whole{&Scenario::guests, 1, 4096}},
        {"cluster", "mode", Word<Mode>{&Scenario::mode, {"bcs", "ms"}}},
        {"cluster", "duration", positive(&Scenario::duration, 1e9)},
        {"cluster", "period", positive(&Scenario::period, 1e6)},
        {"cluster", "phase", Word<Phase>{&Scenario::phase, {"random", "common", "exponential"}}},
        {"cluster", "skew", Real{&Scenario::skew, 0, 0.9}},
        {"cluster", "jitter", Real{&Scenario::jitter, 0, 0.9}},
        {"cluster", "check", Word<Check>{&Scenario::check, {"off", "delivery", "full"}}},
        {"cluster", "vary", Flag{&Scenario::vary}},
        {"traffic", "pattern",
         Word<Pattern>{&Scenario::pattern, {"uniform", "client-server", "ring", "bursts"}}},
        {"traffic", "rate", Real{&Scenario::rate, 0, 1e9}},
        {"traffic", "locality", part(&Scenario::locality)},
        {"network", "delay", time(&Scenario::delay)},
        {"network", "delay_kind", Word<DelayKind>{&Scenario::delay_kind, {"fixed", "exponential"}}},
        {"network", "loss", part(&Scenario::loss)},
        {"network", "duplicate", part(&Scenario::duplicate)},
        {"network", "reorder", part(&Scenario::reorder)},
        {"network", "ring", time(&Scenario::ring)},
        {"checkpoint", "request", time(&Scenario::request)},
        {"checkpoint", "suspend", time(&Scenario::suspend)},
        {"checkpoint", "capture", time(&Scenario::capture)},
        {"checkpoint", "persist", time(&Scenario::persist)},
        {"checkpoint", "retry", positive(&Scenario::retry, 1e6)},
        {"checkpoint", "fail_suspend", Real{&Scenario::fail_suspend, 0, 0.9}},
        {"checkpoint", "fail_capture", Real{&Scenario::fail_capture, 0, 0.9}},
        {"checkpoint", "fail_persist", Real{&Scenario::fail_persist, 0, 0.9}},
        {"hold", "frames", Whole{&Scenario::frames, 1, 1e9}},
        {"hold", "bytes", Real{&Scenario::bytes, 1, kHuge}},
        {"hold", "jump", Real{&Scenario::jump, 1, kHuge}},
        {"hold", "policy", Word<Policy>{&Scenario::policy, {"hold", "pass"}}},
        {"hold", "grace", time(&Scenario::grace)},
        {"faults", "crashes", count(&Scenario::crashes)},
        {"faults", "leader_crashes", count(&Scenario::leader_crashes)},
        {"faults", "isolations", count(&Scenario::isolations)},
        {"faults", "daemon_restarts", count(&Scenario::daemon_restarts)},
        {"faults", "store_outages", count(&Scenario::store_outages)},
        {"faults", "slow_stores", count(&Scenario::slow_stores)},
        {"faults", "reboot", positive(&Scenario::reboot, 1e6)},
        {"faults", "outage", positive(&Scenario::outage, 1e6)},
        {"faults", "lease", positive(&Scenario::lease, 1e6)},
        {"faults", "fence", time(&Scenario::fence)},
        {"faults", "restore", time(&Scenario::restore)},
        {"faults", "log_flush", time(&Scenario::log_flush)},
        {"faults", "store_delay", positive(&Scenario::store_delay, 1e6)},
    };
    return kKeys;
}

// Where a value stands, for its errors.
struct Place {
    const Key &key;
    std::string where; // "calm.toml:7: "
};

Status out_of_range(const Place &place, double value, double low, double high, bool above) {
    return fail(ERANGE, "{}[{}] {} is {}, not {} {} and at most {}", place.where,
                place.key.section, place.key.name, value, above ? "above" : "at least", low, high);
}

Status put(Scenario &s, const Place &place, const Whole &key, const toml::node &node) {
    const auto value = node.value_exact<std::int64_t>();
    if (!value)
        return fail(EINVAL, "{}[{}] {} must be a whole number", place.where, place.key.section,
                    place.key.name);
    const auto number = static_cast<double>(*value);
    if (number < key.low || number > key.high)
        return out_of_range(place, number, key.low, key.high, false);
    s.*key.member = static_cast<unsigned>(*value);
    return {};
}

Status put(Scenario &s, const Place &place, const Real &key, const toml::node &node) {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !std::isfinite(*value))
        return fail(EINVAL, "{}[{}] {} must be a number", place.where, place.key.section,
                    place.key.name);
    if (*value < key.low || *value > key.high || (key.above_low && *value <= key.low))
        return out_of_range(place, *value, key.low, key.high, key.above_low);
    s.*key.member = *value;
    return {};
}

Status put(Scenario &s, const Place &place, const Flag &key, const toml::node &node) {
    const auto value = node.value_exact<bool>();
    if (!value)
        return fail(EINVAL, "{}[{}] {} must be true or false", place.where, place.key.section,
                    place.key.name);
    s.*key.member = *value;
    return {};
}

template <typename Enum>
Status put(Scenario &s, const Place &place, const Word<Enum> &key, const toml::node &node) {
    const auto value = node.value_exact<std::string>();
    std::string all;
    for (std::size_t i = 0; i < key.names.size(); i++) {
        if (value && *value == key.names[i]) {
            s.*key.member = static_cast<Enum>(i);
            return {};
        }
        all += fmt::format("{}\"{}\"", i ? ", " : "", key.names[i]);
    }
    return fail(EINVAL, "{}[{}] {} must be one of {}", place.where, place.key.section,
                place.key.name, all);
}

std::string at(const std::string &file, const toml::source_region &source) {
    return fmt::format("{}:{}: ", file, source.begin.line);
}

Status put_section(Scenario &scenario, const std::string &file, std::string_view section,
                   const toml::table &table) {
    for (auto &&[name, node] : table) {
        const Key *found = nullptr;
        bool section_known = false;
        for (const Key &key : keys()) {
            section_known = section_known || key.section == section;
            if (key.section == section && key.name == name.str())
                found = &key;
        }
        if (!section_known)
            return fail(EINVAL, "{}no section [{}] is known", at(file, node.source()), section);
        if (!found)
            return fail(EINVAL, "{}[{}] has no key \"{}\"", at(file, node.source()), section,
                        name.str());
        const Place place{*found, at(file, node.source())};
        const toml::node &value = node;
        CKPT_CHECK(std::visit([&](const auto &key) { return put(scenario, place, key, value); },
                              found->what));
    }
    return {};
}

// Where the first of these keys of [cluster] stands.
std::string at_key(const std::string &file, const toml::table &table,
                   std::initializer_list<std::string_view> names) {
    for (std::string_view name : names)
        if (const toml::node *node = table["cluster"][name].node())
            return at(file, node->source());
    return file + ": ";
}

// What no single key can say.
Status check_together(const Scenario &s, const std::string &file, const toml::table &table) {
    if (s.period > s.duration)
        return fail(EINVAL, "{}[cluster] period {} is longer than the duration {}",
                    at_key(file, table, {"period", "duration"}), s.period, s.duration);
    if (s.nodes * s.guests < 2)
        return fail(EINVAL, "{}[cluster] one guest alone has nobody to talk to",
                    at_key(file, table, {"guests", "nodes"}));
    return {};
}

} // namespace

Result<Scenario> parse_scenario(std::string_view text, const std::string &file) {
    toml::parse_result parsed = toml::parse(text, file);
    if (!parsed)
        return fail(EINVAL, "{}{}", at(file, parsed.error().source()), parsed.error().description());
    Scenario scenario;
    for (auto &&[name, node] : parsed.table()) {
        if (name.str() == "name" && node.is_string()) {
            scenario.name = *node.value<std::string>();
            continue;
        }
        const toml::table *section = node.as_table();
        if (!section)
            return fail(EINVAL, "{}\"{}\" is not a section", at(file, node.source()), name.str());
        CKPT_CHECK(put_section(scenario, file, name.str(), *section));
    }
    CKPT_CHECK(check_together(scenario, file, parsed.table()));
    return scenario;
}

Result<Scenario> load_scenario(const std::string &file) {
    std::ifstream stream(file);
    if (!stream)
        return fail(errno ? errno : EIO, "scenario {}", file);
    const std::string text(std::istreambuf_iterator<char>(stream), {});
    return parse_scenario(text, file);
}

Status set_in_scenario(Scenario &scenario, std::string_view assignment) {
    const auto dot = assignment.find('.'), equals = assignment.find('=');
    if (dot == std::string_view::npos || equals == std::string_view::npos || dot > equals)
        return fail(EINVAL, "--set {}: must be section.key=value", assignment);
    const std::string source = fmt::format("--set {}", assignment);
    std::string text = fmt::format("[{}]\n{} = {}\n", assignment.substr(0, dot),
                                   assignment.substr(dot + 1, equals - dot - 1),
                                   assignment.substr(equals + 1));
    toml::parse_result parsed = toml::parse(text, source);
    if (!parsed) { // a word without quotes
        text.insert(text.find('=') + 2, "\"");
        text.insert(text.size() - 1, "\"");
        parsed = toml::parse(text, source);
    }
    if (!parsed)
        return fail(EINVAL, "{}: {}", source, parsed.error().description());
    for (auto &&[name, node] : parsed.table())
        if (const toml::table *section = node.as_table())
            CKPT_CHECK(put_section(scenario, source, name.str(), *section));
    return check_together(scenario, source, parsed.table());
}

std::string scenario_text(const Scenario &scenario) {
    std::string text = fmt::format("name = \"{}\"\n", scenario.name);
    std::string_view section;
    for (const Key &key : keys()) {
        if (key.name == "locality" && scenario.locality < 0)
            continue;
        if (key.section != section)
            text += fmt::format("\n[{}]\n", section = key.section);
        text += fmt::format("{} = ", key.name);
        std::visit(
            [&](const auto &k) {
                const auto value = scenario.*k.member;
                if constexpr (requires { k.names; })
                    text += fmt::format("\"{}\"\n", k.names[static_cast<std::size_t>(value)]);
                else
                    text += fmt::format("{}\n", value);
            },
            key.what);
    }
    return text;
}

} // namespace ckpt::sim
