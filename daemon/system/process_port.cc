// SPDX-License-Identifier: GPL-2.0-only
// The core inside the daemon, for guests inside the daemon: they have no
// interfaces, so no frame ever comes.
#include "daemon/system/port.hh"

namespace ckpt {

namespace {

class ProcessPort : public ProtocolPort {
  public:
    ProcessPort(EventLoop &loop, const Config &config, Wanted wanted)
        : loop_(loop), config_(config), wanted_(std::move(wanted)) {}

    Result<State> state() override {
        if (!begun_)
            return fail(ENOENT, "core: no node");
        State state;
        state.node = core_.view.node;
        state.incarnation = core_.view.incarnation;
        state.sn = core_.view.sn;
        state.captured = core_.view.captured;
        state.durable = core_.durable;
        state.target = core_.target;
        state.phase = core_.phase;
        state.reason = core_.reason;
        state.frozen = core_.view.frozen;
        return state;
    }

    Status begin(Incarnation incarnation, Sn sn) override {
        tlckpt_config config{};
        config.jump = 1000;
        config.max_bytes = config_.cluster.hold_mib << 20;
        config.max_frames = static_cast<u32>(config_.cluster.hold_frames);
        config.node = static_cast<NodeId>(config_.cluster.node_id);
        config.mode = config_.cluster.mode == "bcs" ? TLCKPT_MODE_BCS : TLCKPT_MODE_MS;
        config.policy = TLCKPT_POLICY_HOLD;
        config.strict = true;
        if (int error = tlckpt_proto_init(&core_, &config, incarnation, sn))
            return fail(-error, "core: settings");
        begun_ = true;
        return {};
    }

    Status end() override {
        begun_ = false;
        return {};
    }
    Status own() override { return {}; }
    Status exempt(const std::string &) override { return {}; }

    Result<Answer> step(const tlckpt_event &event) override {
        tlckpt_update update;
        int error = tlckpt_proto_step(&core_, &event, &update);
        if (error)
            return fail(-error, "core: {}", update.refusal ? update.refusal : "refused");
        if (update.todo & TLCKPT_DO_REQUEST)
            loop_.post([this, update] {
                wanted_(update.target, update.reason, update.cause_peer, update.cause_sn);
            });
        return Answer{update.sn, update.prev, (update.note & TLCKPT_NOTE_INTAKE_OPEN) != 0};
    }

    Result<std::vector<LoggedFrame>> log() override { return std::vector<LoggedFrame>(); }
    Status forget_log(Sn) override { return {}; }
    Status inject(const std::string &) override { return {}; }

  private:
    EventLoop &loop_;
    const Config &config_;
    const Wanted wanted_;
    tlckpt_proto core_{};
    bool begun_ = false;
};

} // namespace

Result<std::unique_ptr<ProtocolPort>> open_process_port(EventLoop &loop, const Config &config,
                                                        ProtocolPort::Wanted wanted) {
    return std::make_unique<ProcessPort>(loop, config, std::move(wanted));
}

} // namespace ckpt
