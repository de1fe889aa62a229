// SPDX-License-Identifier: GPL-2.0-only
// How often a guest's dirty pages are looked for while it runs. Short rounds
// leave less to the pause but write pages more often, and cost the guest a
// fault per page: the round is as long as the pause target allows.
#pragma once

#include <algorithm>

#include "libckpt/node/node_checkpointer.hh"

namespace ckpt {

struct RoundFigures {
    std::uint64_t found = 0;    // pages dirtied in this round
    std::uint64_t left = 0;     // pages left to the pause
    std::uint64_t written = 0;  // page writes since the last checkpoint
    std::uint64_t distinct = 0; // distinct pages of `written` and `left`
    Duration cost{};            // of this round and the writes since the one before
};

class RoundPacer {
  public:
    explicit RoundPacer(const EarlyWriteOptions &options)
        : options_(options), interval_(options.round_min) {}

    Duration interval() const { return interval_; }

    // After each round: adapts the time to the next one.
    void note(const RoundFigures &round) {
        bool over_budget = static_cast<double>(round.written + round.left) >
                           options_.write_budget * static_cast<double>(round.distinct);
        bool target_met = round.left <= options_.target_pages;
        bool stays_met = round.left + round.found <= options_.target_pages;
        if (over_budget || stays_met)
            interval_ = interval_ * 3 / 2;
        else if (!target_met)
            interval_ /= 2;
        // At most a tenth of the time goes into it.
        interval_ = std::max(interval_, round.cost * 9);
        interval_ = std::clamp(interval_, options_.round_min, options_.round_max);
    }

  private:
    EarlyWriteOptions options_;
    Duration interval_;
};

} // namespace ckpt
