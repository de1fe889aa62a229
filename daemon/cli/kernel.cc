// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/kernel.hh"

#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <net/if.h>
#include <poll.h>

#include <fmt/format.h>

#include "daemon/cli/render.hh"
#include "daemon/kmod/client.hh"

namespace ckpt::cli {

namespace {

using control::Json;
using Parsed = tl::expected<void, UsageError>;

// "dev": an interface; "key-file": the key's digits in a file; else a number, or
// a word that the module's tables check.
Parsed set_keyword(const std::string &name, const std::string &value, Json &nest) {
    if (name == "dev") {
        unsigned index = if_nametoindex(value.c_str());
        if (!index)
            return tl::unexpected(fmt::format("Cannot find device \"{}\"", value));
        nest["ifindex"] = index;
    } else if (name == "remote") {
        nest[value.find(':') == value.npos ? "remote4" : "remote6"] = value;
    } else if (name == "key-file") {
        std::ifstream file(value);
        std::string digits;
        if (!(file >> digits))
            return tl::unexpected(fmt::format("can't read a key of 32 hexadecimal digits from {}", value));
        nest["key"] = digits;
    } else if (name == "frame") {
        nest[name] = value; // hexadecimal, though it may have decimal digits only
    } else {
        bool digits = !value.empty() && value.find_first_not_of("0123456789") == value.npos;
        nest[name] = digits ? Json(std::strtoull(value.c_str(), nullptr, 10)) : Json(value);
    }
    return {};
}

// KEYWORD VALUE pairs into the nest `nest` of the request.
Parsed parse_pairs(Words &words, Invocation &invocation, const char *nest,
                   std::span<const std::string_view> names) {
    Json pairs = Json::object();
    while (words.more()) {
        auto which = match("Argument", words.take(), names);
        if (!which)
            return tl::unexpected(which.error());
        std::string name(names[*which]);
        auto value = words.value(name);
        if (!value)
            return tl::unexpected(value.error());
        if (Parsed set = set_keyword(name, *value, pairs); !set)
            return set;
    }
    if (!pairs.empty())
        invocation.arguments[nest] = pairs;
    return {};
}

template <const auto &names> Parsed parse_nest(Words &words, Invocation &invocation) {
    return parse_pairs(words, invocation, invocation.command->object, names);
}

constexpr std::string_view kNodeNames[] = {
    "id",        "cluster",  "key-file",  "mode",        "policy", "strict", "jump", "max-frames",
    "max-bytes", "grace-ms", "log-bytes", "incarnation", "sn"};
constexpr std::string_view kDeviceNames[] = {"dev"};
constexpr std::string_view kLinkNames[] = {"dev", "carrier", "remote", "vni"};
constexpr std::string_view kLogNames[] = {"sn", "dev", "frame"};
constexpr std::string_view kStepNames[] = {"sn",     "k",           "member",
                                           "raise",  "incarnation", "previous"};

Parsed parse_nothing(Words &, Invocation &) { return {}; }

Parsed parse_address(Words &words, Invocation &invocation) {
    auto address = words.value("ADDRESS");
    if (!address)
        return tl::unexpected(address.error());
    invocation.arguments["exempt"] = *address;
    return {};
}

Parsed parse_monitor(Words &words, Invocation &invocation) {
    static constexpr std::string_view names[] = {"own"};
    if (words.more()) {
        auto which = match("Argument", words.take(), names);
        if (!which)
            return tl::unexpected(which.error());
        invocation.arguments["own"] = true;
    }
    return {};
}

std::string value_text(const Json &value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

// One object on a line, "name value name value", its counters on the next.
void render_object(const Json &object, std::string_view key, bool statistics, std::ostream &out) {
    std::string line;
    if (auto first = object.find(key); first != object.end())
        line = value_text(*first) + ":";
    for (const auto &[name, value] : object.items())
        if (name != key && name != "stats" && name != "ifindex")
            line += fmt::format("{}{} {}", line.empty() ? "" : " ", name, value_text(value));
    out << line << "\n";
    if (!statistics || !object.contains("stats"))
        return;
    out << "   ";
    for (const auto &[name, value] : object["stats"].items())
        out << " " << name << " " << value_text(value);
    out << "\n";
}

// The answer's objects are in a member named as the tool's object.
int render_any(const Json &reply, std::ostream &out) {
    if (!reply.is_object())
        return kNotUnderstood;
    for (const auto &[kind, answer] : reply.items()) {
        if (kind == "statistics")
            continue;
        bool statistics = reply.value("statistics", false);
        std::string_view key = kind == "peer" ? "node" : kind == "node" ? "id" : "ifname";
        if (answer.is_object())
            render_object(answer, key, statistics, out);
        for (const Json &one : answer.is_array() ? answer : Json::array()) {
            if (one.is_object())
                render_object(one, key, statistics, out);
            else
                out << value_text(one) << "\n";
        }
    }
    return 0;
}

constexpr Command kCommands[] = {
    {"node", "show", "node [ show ]", "this node as the kernel module has it", "kernel:node-get",
     parse_nothing, render_any},
    {"node", "set", "node set [ id N key-file F ] [ mode bcs|ms ] ...",
     "make this a node, or change its settings", "kernel:node-set", parse_nest<kNodeNames>,
     render_any},
    {"node", "delete", "node delete", "forget the node, its links and what they hold",
     "kernel:node-del", parse_nothing, render_any},
    {"port", "show", "port [ show ]", "interfaces of the guests", "kernel:port-get", parse_nothing,
     render_any},
    {"port", "add", "port add dev DEV", "a guest's interface that is no vif", "kernel:port-add",
     parse_nest<kDeviceNames>, render_any},
    {"port", "delete", "port delete dev DEV", "", "kernel:port-del", parse_nest<kDeviceNames>,
     render_any},
    {"link", "show", "link [ show ]", "interfaces to other nodes", "kernel:link-get",
     parse_nothing, render_any},
    {"link", "add", "link add dev DEV [ carrier shim|geneve ] [ remote IP vni N ]",
     "stamp and judge what passes there", "kernel:link-add", parse_nest<kLinkNames>, render_any},
    {"link", "delete", "link delete dev DEV", "", "kernel:link-del", parse_nest<kDeviceNames>,
     render_any},
    {"exempt", "show", "exempt [ show ]", "Dom0's own addresses: not stamped, not held",
     "kernel:exempt-get", parse_nothing, render_any},
    {"exempt", "add", "exempt add LLADDR", "", "kernel:exempt-add", parse_address, render_any},
    {"exempt", "delete", "exempt delete LLADDR", "", "kernel:exempt-del", parse_address,
     render_any},
    {"peer", "show", "peer [ show ]", "nodes that were heard", "kernel:peer-get", parse_nothing,
     render_any},
    {"log", "show", "log [ show ] [ sn SN ]", "the channel log", "kernel:log-get",
     parse_nest<kLogNames>, render_any},
    {"log", "delete", "log delete sn SN", "forget what is logged up to SN only",
     "kernel:log-del", parse_nest<kLogNames>, render_any},
    {"log", "inject", "log inject dev DEV frame HEX", "give a logged frame to the guests again",
     "kernel:inject", parse_nest<kLogNames>, render_any},
    {"step", "own", "step tick|request|close|suspended|cut|captured sn SN|...",
     "one step of the protocol by hand (tests)", "kernel:own", parse_nest<kStepNames>, render_any},
    {"step", "tick", "", "", "kernel:tick", parse_nest<kStepNames>, render_any},
    {"step", "request", "", "", "kernel:request", parse_nest<kStepNames>, render_any},
    {"step", "close", "", "", "kernel:close", parse_nest<kStepNames>, render_any},
    {"step", "suspended", "", "", "kernel:suspended", parse_nest<kStepNames>, render_any},
    {"step", "cut", "", "", "kernel:cut", parse_nest<kStepNames>, render_any},
    {"step", "captured", "", "", "kernel:captured", parse_nest<kStepNames>, render_any},
    {"step", "durable", "", "", "kernel:durable", parse_nest<kStepNames>, render_any},
    {"step", "abort", "", "", "kernel:abort", parse_nest<kStepNames>, render_any},
    {"step", "freeze", "", "", "kernel:freeze", parse_nest<kStepNames>, render_any},
    {"step", "rollback", "", "", "kernel:rollback", parse_nest<kStepNames>, render_any},
    {"step", "thaw", "", "", "kernel:thaw", parse_nest<kStepNames>, render_any},
    {"monitor", "", "monitor [ own ]", "events of the kernel module; own: be its daemon",
     "kernel:monitor", parse_monitor, render_any},
};

Failure failure_of(const kmod::Failure &from) {
    return {from.code != ENOENT || from.message.find("not loaded") == std::string::npos,
            from.message};
}

volatile std::sig_atomic_t interrupted = 0;

} // namespace

std::span<const Command> kernel_commands() { return kCommands; }

tl::expected<Json, Failure> ask_kernel(const Invocation &invocation) {
    auto client = kmod::Client::open();
    if (!client)
        return tl::unexpected(failure_of(client.error()));
    auto answer = client->call(std::string_view(invocation.command->request).substr(7),
                               invocation.arguments);
    if (!answer)
        return tl::unexpected(failure_of(answer.error()));
    Json reply = Json::object();
    const char *object = invocation.command->object;
    if (answer->is_array()) {
        reply[object] = Json::array();
        for (const Json &one : *answer)
            reply[object].push_back(one.begin().value());
    } else if (!answer->empty()) {
        reply[object] = answer->begin().value();
    }
    if (invocation.statistics && !invocation.json)
        reply["statistics"] = true;
    return reply;
}

int monitor(const Invocation &invocation) {
    auto client = kmod::Client::open();
    tl::expected<void, kmod::Failure> ready =
        client ? client->subscribe() : tl::unexpected(client.error());
    if (ready && invocation.arguments.contains("own"))
        if (auto owned = client->call("own"); !owned)
            ready = tl::unexpected(owned.error());
    if (!ready) {
        std::cerr << "Error: " << ready.error().message << ".\n";
        return 2;
    }
    struct sigaction action{};
    action.sa_handler = [](int) { interrupted = 1; };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    pollfd readable{client->fd(), POLLIN, 0};
    while (!interrupted && poll(&readable, 1, -1) >= 0) {
        auto got = client->receive([&](std::string_view name, const Json &event) {
            if (invocation.json) {
                std::cout << Json{{"event", name}, {"attributes", event}}.dump() << std::endl;
                return;
            }
            std::cout << name;
            for (const auto &nest : event)
                for (const auto &[key, value] : nest.items())
                    std::cout << " " << key << " " << value_text(value);
            std::cout << std::endl;
        });
        if (!got)
            std::cerr << "Error: " << got.error().message << ".\n";
    }
    return 0;
}

} // namespace ckpt::cli
