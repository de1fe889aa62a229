// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/options.hh"

#include <charconv>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <map>

#include "libckpt/base/fd.hh"
#include "tests/workload/mix.hh"

namespace ckpt::workload {

const char kOptionsHelp[] =
    R"(options of `run`, also as wl.NAME=VALUE words of the file named by --cmdline:
  --id N.G               this member: node N, guest G (0: Dom0); needed
  --peer N.G@ADDR[:PORT] a peer; repeat, or separate by commas; [IPv6]:PORT too
  --port P               UDP and TCP port of the messages (7000)
  --control P            TCP port of the queries (7001)
  --pages N --seed S     working set of N pages of 4 KiB (4096); seed (from the id)
  --dirty N              pages written per second (200)
  --hot W:P              W % of the writes go to P % of the pages, the others sweep (90:10)
  --verify N             pages verified per second (256)
  --udp N --tcp N        messages per second to all peers together (10, 10)
  --udp-size B --tcp-size B   largest message in bytes (300, 1200)
  --history N            messages remembered per peer, direction and transport (256)
  --disk PATH            log to this block device or file, which is overwritten
  --disk-period MS --disk-slots N   one 4 KiB record per MS (250), in a ring of N (256)
  --gap MS               shortest stall kept as a mark (1000); a guest's suspend always is
  --tick US              period of the ticker that sees the gaps: how sharply they are timed (4000)
  --console S            a line of state on standard output every S seconds (0: never)
)";

namespace {

template <typename T> Status to_number(const std::string &text, T &out, T least, T most) {
    T value{};
    const char *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || value < least || value > most)
        return fail(EINVAL, "'{}': want a number from {} to {}", text, least, most);
    out = value;
    return {};
}

Result<MemberId> to_member(const std::string &text) {
    const auto dot = text.find('.');
    MemberId id;
    if (dot == std::string::npos || !to_number<std::uint16_t>(text.substr(0, dot), id.node, 0, 65535) ||
        !to_number<std::uint16_t>(text.substr(dot + 1), id.guest, 0, 65535))
        return fail(EINVAL, "'{}': want NODE.GUEST", text);
    return id;
}

Status add_peers(const std::string &text, std::vector<PeerOption> &peers) {
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t comma = std::min(text.find(',', from), text.size());
        const std::string one = text.substr(from, comma - from);
        const auto at = one.find('@');
        if (at == std::string::npos)
            return fail(EINVAL, "'{}': want NODE.GUEST@ADDR[:PORT]", one);
        peers.push_back({CKPT_TRY(to_member(one.substr(0, at))), one.substr(at + 1)});
        from = comma + 1;
    }
    return {};
}

class Parser {
  public:
    Parser();
    Status set(const std::string &name, const std::string &value);
    Result<Options> finish();

  private:
    using Setter = std::function<Status(const std::string &)>;
    template <typename T> Setter number(T &out, T least, T most) {
        return [&out, least, most](const std::string &text) {
            return to_number(text, out, least, most);
        };
    }
    Status set_hot(const std::string &text);
    Status read_cmdline(const std::string &path);

    Options options_;
    bool has_id_ = false;
    bool has_seed_ = false;
    std::map<std::string, Setter> setters_;
};

Parser::Parser() {
    Options &o = options_;
    setters_ = {
        {"port", number<std::uint16_t>(o.port, 1, 65535)},
        {"control", number<std::uint16_t>(o.control, 1, 65535)},
        {"pages", number<std::uint64_t>(o.memory.pages, 2, 1U << 28)},
        {"dirty", number(o.dirty_rate, 0U, 10'000'000U)},
        {"verify", number(o.verify_rate, 0U, 10'000'000U)},
        {"udp", number(o.udp_rate, 0U, 1'000'000U)},
        {"tcp", number(o.tcp_rate, 0U, 1'000'000U)},
        {"udp-size", number(o.udp_size, 1U, 60'000U)},
        {"tcp-size", number(o.tcp_size, 1U, 65'000U)},
        {"history", number(o.history, 16U, 1'000'000U)},
        {"tick", number(o.tick_us, 100U, 1'000'000U)},
        {"console", number(o.console_s, 0U, 86'400U)},
        {"disk-period", number(o.disk_period_ms, 1U, 3'600'000U)},
        {"disk-slots", number(o.disk_slots, 4U, 1U << 20)},
        {"gap", number(o.gap_ms, 1.0, 1e6)},
    };
    setters_["seed"] = [this](const std::string &text) {
        has_seed_ = true;
        return to_number(text, options_.memory.seed, std::uint64_t{0},
                         std::numeric_limits<std::uint64_t>::max());
    };
    setters_["id"] = [this](const std::string &text) -> Status {
        options_.id = CKPT_TRY(to_member(text));
        has_id_ = true;
        return {};
    };
    setters_["peer"] = [this](const std::string &text) { return add_peers(text, options_.peers); };
    setters_["hot"] = [this](const std::string &text) { return set_hot(text); };
    setters_["disk"] = [this](const std::string &text) -> Status {
        options_.disk = text;
        return {};
    };
    setters_["cmdline"] = [this](const std::string &text) { return read_cmdline(text); };
}

Status Parser::set(const std::string &name, const std::string &value) {
    const auto setter = setters_.find(name);
    if (setter == setters_.end())
        return fail(EINVAL, "option {}: unknown", name);
    if (Status status = setter->second(value); !status)
        return wrap("option " + name, status.error());
    return {};
}

Status Parser::set_hot(const std::string &text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos)
        return fail(EINVAL, "'{}': want WRITES:PAGES, both in percent", text);
    CKPT_CHECK(to_number(text.substr(0, colon), options_.memory.hot_writes, 0U, 100U));
    return to_number(text.substr(colon + 1), options_.memory.hot_pages, 0U, 100U);
}

Status Parser::read_cmdline(const std::string &path) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char text[4096];
    const ssize_t size = fd ? read(fd.get(), text, sizeof text) : -1;
    if (size < 0)
        return fail(errno, "{}", path);
    const std::string line(text, static_cast<std::size_t>(size));
    for (std::size_t from = 0, end; from < line.size(); from = end + 1) {
        end = std::min(line.find_first_of(" \n", from), line.size());
        const std::string word = line.substr(from, end - from);
        const auto equals = word.find('=');
        if (word.starts_with("wl.") && equals != std::string::npos && !word.starts_with("wl.cmdline="))
            CKPT_CHECK(set(word.substr(3, equals - 3), word.substr(equals + 1)));
    }
    return {};
}

Result<Options> Parser::finish() {
    if (!has_id_)
        return fail(EINVAL, "option id: missing");
    if (!has_seed_)
        options_.memory.seed = mix(options_.id.packed());
    std::erase_if(options_.peers, [this](const auto &peer) { return peer.id == options_.id; });
    return options_;
}

} // namespace

Result<Options> parse_options(const std::vector<std::string> &arguments) {
    Parser parser;
    for (std::size_t i = 0; i < arguments.size(); i++) {
        const std::string &word = arguments[i];
        if (!word.starts_with("--"))
            return fail(EINVAL, "'{}': options start with --", word);
        const auto equals = word.find('=');
        if (equals != std::string::npos) {
            CKPT_CHECK(parser.set(word.substr(2, equals - 2), word.substr(equals + 1)));
            continue;
        }
        if (i + 1 == arguments.size())
            return fail(EINVAL, "option {}: value missing", word);
        CKPT_CHECK(parser.set(word.substr(2), arguments[++i]));
    }
    return parser.finish();
}

} // namespace ckpt::workload
