// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/system/port.hh"

#include <array>
#include <fstream>

#include <net/if.h>
#include <sys/epoll.h>

#include "daemon/kmod/client.hh"

namespace ckpt {

namespace {

using kmod::Json;

constexpr std::array<const char *, 5> kPhases{"idle", "requested", "closed", "suspended", "cut"};
constexpr std::array<const char *, 4> kReasons{"basic", "forced", "manual", "takeover"};

template <std::size_t N> u8 place(const std::array<const char *, N> &names, const Json &name) {
    for (std::size_t i = 0; i < N; i++)
        if (name == names[i])
            return static_cast<u8>(i);
    return name.is_number_unsigned() ? name.get<u8>() : u8{0};
}

const char *operation_of(tlckpt_event_type type) {
    switch (type) {
    case TLCKPT_EV_TICK:
        return "tick";
    case TLCKPT_EV_REQUEST:
        return "request";
    case TLCKPT_EV_CLOSE:
        return "close";
    case TLCKPT_EV_SUSPENDED:
        return "suspended";
    case TLCKPT_EV_CUT:
        return "cut";
    case TLCKPT_EV_CAPTURED:
        return "captured";
    case TLCKPT_EV_DURABLE:
        return "durable";
    case TLCKPT_EV_ABORT:
        return "abort";
    case TLCKPT_EV_FREEZE:
        return "freeze";
    case TLCKPT_EV_ROLLBACK:
        return "rollback";
    case TLCKPT_EV_THAW:
        return "thaw";
    default:
        return nullptr; // the kernel's own
    }
}

std::string unhex(const std::string &digits) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return bytes;
}

std::string hex(const std::string &bytes) {
    std::string digits;
    for (unsigned char byte : bytes)
        digits += fmt::format("{:02x}", byte);
    return digits;
}

class KernelPort : public ProtocolPort {
  public:
    KernelPort(kmod::Client client, const Config &config, std::string key, Wanted wanted,
               Changed changed)
        : client_(std::move(client)), config_(config), key_(std::move(key)),
          wanted_(std::move(wanted)), changed_(std::move(changed)) {}

    Status listen(EventLoop &loop) {
        if (auto done = client_.subscribe(); !done)
            return error(done.error());
        events_ = CKPT_TRY(loop.add_fd(client_.fd(), EPOLLIN, [this](auto) { receive(); }));
        return {};
    }

    Result<State> state() override {
        Json node = CKPT_TRY(call("node-get")).value("node", Json::object());
        State state;
        state.node = node.value("id", NodeId{0});
        state.incarnation = node.value("incarnation", Incarnation{0});
        state.sn = node.value("sn", Sn{0});
        state.captured = node.value("captured", Sn{0});
        state.durable = node.value("durable", Sn{0});
        state.target = node.value("target", Sn{0});
        state.phase = place(kPhases, node.value("phase", Json("idle")));
        state.reason = place(kReasons, node.value("reason", Json("basic")));
        state.cause_peer = node.value("cause-peer", NodeId{0});
        state.cause_sn = node.value("cause-sn", Sn{0});
        state.frozen = node.value("frozen", 0) != 0;
        state.held_frames = node.value("held-frames", u64{0});
        state.log_frames = node.value("log-frames", u64{0});
        state.log_lost = node.value("log-lost", u64{0});
        return state;
    }

    Status begin(Incarnation incarnation, Sn sn) override {
        Json node = settings();
        node["id"] = config_.cluster.node_id;
        node["incarnation"] = incarnation;
        node["sn"] = sn;
        CKPT_TRY(call("node-set", {{"node", node}}));
        return {};
    }

    Status end() override {
        CKPT_TRY(call("node-del"));
        return {};
    }

    Status own() override {
        CKPT_TRY(call("node-set", {{"node", settings()}}));
        CKPT_TRY(call("own"));
        Json links = CKPT_TRY(call("link-get"));
        for (const std::string &name : config_.cluster.links) {
            unsigned index = ::if_nametoindex(name.c_str());
            if (!index)
                return fail(ENODEV, "cluster.links: {}", name);
            bool known = false;
            for (const Json &link : links)
                known = known || link.value("link", Json::object()).value("ifindex", 0u) == index;
            if (!known)
                CKPT_TRY(call("link-add", {{"link", {{"ifindex", index}}}}));
        }
        return {};
    }

    Status exempt(const std::string &address) override {
        auto done = client_.call("exempt-add", {{"exempt", address}});
        if (!done && done.error().code != EEXIST)
            return fail(done.error().code, "exempt address {}: {}", address, done.error().message);
        return {};
    }

    Result<Answer> step(const tlckpt_event &event) override {
        Json step = Json::object();
        if (event.type == TLCKPT_EV_CAPTURED || event.type == TLCKPT_EV_DURABLE) {
            step["sn"] = event.index;
        } else if (event.type == TLCKPT_EV_ROLLBACK) {
            step = {{"k", event.rollback.k},
                    {"member", event.rollback.member},
                    {"raise", event.rollback.raise},
                    {"incarnation", event.rollback.incarnation},
                    {"previous", event.rollback.previous}};
        }
        Json answer = CKPT_TRY(call(operation_of(event.type),
                                    step.empty() ? Json::object() : Json{{"step", step}}));
        Json took = answer.value("step", Json::object());
        return Answer{took.value("sn", Sn{0}), took.value("prev", Sn{0}),
                      took.value("intake-open", false)};
    }

    Result<std::vector<LoggedFrame>> log() override {
        std::vector<LoggedFrame> frames;
        for (const Json &one : CKPT_TRY(call("log-get"))) {
            Json log = one.value("log", Json::object());
            frames.push_back({log.value("from", Sn{0}), log.value("to", Sn{0}),
                              log.value("frame-sn", Sn{0}), log.value("incarnation", Incarnation{0}),
                              log.value("peer", NodeId{0}), unhex(log.value("frame", ""))});
        }
        return frames;
    }

    Status forget_log(Sn up_to) override {
        CKPT_TRY(call("log-del", {{"log", {{"sn", up_to}}}}));
        return {};
    }

    Status inject(const std::string &frame) override {
        // By the link: the bridge finds the guest behind its address.
        CKPT_TRY(call("inject", {{"log",
                                  {{"ifindex", ::if_nametoindex(config_.cluster.links[0].c_str())},
                                   {"frame", hex(frame)}}}}));
        return {};
    }

  private:
    static tl::unexpected<Error> error(const kmod::Failure &failure) {
        return fail(failure.code, "kernel module: {}", failure.message);
    }

    Json settings() const {
        return {{"cluster", config_.cluster.id},
                {"key", key_},
                {"mode", config_.cluster.mode},
                {"max-frames", config_.cluster.hold_frames},
                {"max-bytes", config_.cluster.hold_mib << 20},
                {"log-bytes", config_.cluster.log_mib << 20},
                {"grace-ms", config_.cluster.grace_ms}};
    }

    Result<Json> call(const char *operation, const Json &attributes = Json::object()) {
        auto answer = client_.call(operation, attributes);
        if (!answer)
            return error(answer.error());
        return std::move(*answer);
    }

    void receive() {
        auto got = client_.receive([this](std::string_view name, const Json &event) {
            if (name != "ev-request")
                return changed_();
            Json step = event.value("step", Json::object());
            wanted_(step.value("target", Sn{0}), place(kReasons, step.value("reason", Json("basic"))),
                    step.value("peer", NodeId{0}), step.value("sn", Sn{0}));
        });
        if (!got) // ENOBUFS: some were lost
            changed_();
    }

    kmod::Client client_;
    const Config &config_;
    const std::string key_;
    const Wanted wanted_;
    const Changed changed_;
    EventLoop::Source events_;
};

} // namespace

Result<std::string> read_key(const std::string &path) {
    std::ifstream file(path);
    std::string digits;
    if (!file)
        return fail(errno, "cluster.key_file {}", path);
    if (!(file >> digits) || digits.size() != 32 ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos)
        return fail(EINVAL, "cluster.key_file {}: not 32 hexadecimal digits", path);
    return digits;
}

Result<std::unique_ptr<ProtocolPort>> open_kernel_port(EventLoop &loop, const Config &config,
                                                       ProtocolPort::Changed changed,
                                                       ProtocolPort::Wanted wanted) {
    auto key = CKPT_TRY(read_key(config.cluster.key_file));
    auto client = kmod::Client::open();
    if (!client)
        return fail(client.error().code, "cluster: {}", client.error().message);
    auto port = std::make_unique<KernelPort>(std::move(*client), config, std::move(key),
                                             std::move(wanted), std::move(changed));
    CKPT_CHECK(port->listen(loop));
    return port;
}

} // namespace ckpt
