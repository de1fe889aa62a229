// SPDX-License-Identifier: GPL-2.0-only
// From the core's channel log, which is in memory, into the store, beside the
// checkpoints that the frames are in transit at (R12). Control thread only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/system/background.hh"
#include "daemon/system/port.hh"
#include "libckpt/base/log.hh"
#include "libckpt/protocol/line.hh"
#include "libckpt/store/channel_log.hh"

namespace ckpt {

class ChannelKeeper {
  public:
    ChannelKeeper(Background &background, ProtocolPort &port, Logger &logger, std::string directory,
                  std::string node)
        : background_(background), port_(port), logger_(logger), directory_(std::move(directory)),
          node_(std::move(node)) {}

    // This node's durable captures: frames are kept for them from now on.
    void durable(const Capture &capture) { captures_.push_back(capture); }
    // After a rollback: what was logged in the run that was undone goes.
    void start_anew();
    // Brings what is new into the store; now and then, and before a report.
    void round();

  private:
    struct Pending {
        ChannelFrame frame; // its octets are let go once written
        bool written = false;
    };
    using Batches = std::map<Sn, std::vector<ChannelFrame>>;

    Status take_new();
    void written(Sn durable, const Status &done);

    Background &background_;
    ProtocolPort &port_;
    Logger &logger_;
    const std::string directory_, node_;
    std::vector<Capture> captures_;
    std::vector<Pending> pending_; // as the core has them, in its order
    bool first_ = true;            // what a daemon before this one wrote is not written again
    bool busy_ = false;
};

// What is given to the guests again after a rollback to line `k` by the log of
// the checkpoint that stands for it (R12), in order.
std::vector<ChannelFrame> frames_to_replay(const std::vector<ChannelFrame> &log,
                                           const tlckpt_view &view, Sn k);

} // namespace ckpt
