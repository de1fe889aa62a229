// SPDX-License-Identifier: GPL-2.0-only
// What a node must know after a crash and no manifest tells: the newest index
// that it used, committed or not, and the guests that it had in its hands. A
// small text file, replaced atomically.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

class NodeState {
  public:
    // Reads `directory`/node-state, and makes the folder if there is none. A
    // missing file is a node that never ran; EBADMSG: not our file, names the line.
    static Result<NodeState> load(const std::string &directory);

    // The newest index that a capture may have used; a restart goes on above
    // it. A capture that was lost before it was durable stays named as `prev`
    // by the next one (Rule R9), so its index must never be given again.
    Sn used_sn() const { return used_sn_; }
    // Guests that may be found suspended after a crash.
    const std::vector<Uuid> &guests() const { return guests_; }

    // Durable when they return; unchanged on an error.
    Status use_sn(Sn sn);
    Status set_guests(std::vector<Uuid> guests);

  private:
    Status save(Sn sn, const std::vector<Uuid> &guests);

    std::string directory_;
    Sn used_sn_ = 0;
    std::vector<Uuid> guests_;
};

} // namespace ckpt
