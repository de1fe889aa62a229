// SPDX-License-Identifier: GPL-2.0-only
// Where the node level asks the system level, if there is one: the protocol
// core, wherever it runs, has the last word on indexes (R3, R4, R9).
#pragma once

#include "libckpt/node/node_checkpointer.hh"

namespace ckpt {

class NodeSteps {
  public:
    virtual ~NodeSteps() = default;

    // Tells the core that a basic (R2) or manual checkpoint is due. Returns the
    // index that is wanted now; 0: none, a forced one did the work.
    virtual Result<Sn> ask(CheckpointKind kind) = 0;

    // As NodeObserver's.
    virtual Status close_intake(Sn sn) = 0;
    virtual Result<Sn> cut(Sn sn) = 0;
    virtual Result<Sn> captured(Sn sn) = 0;
    virtual void open_intake() = 0;
    virtual void durable(const Manifest &manifest) = 0;
    // The attempt is over, well or not; the guests run.
    virtual void ended() = 0;

    // As NodeObserver's; records_end(): of the guests that the newest checkpoint has.
    virtual std::vector<std::uint32_t> groups() const = 0;
    virtual bool records_end() const = 0;

    // The oldest checkpoint that recovery may need (R13); 0: all.
    virtual Sn keep_from() const = 0;
    // A guest that is about to be protected. An error: not here, and why.
    virtual Status admit(const GuestInfo &guest) = 0;
};

} // namespace ckpt
