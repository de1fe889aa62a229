// SPDX-License-Identifier: GPL-2.0-only
// The library's facts in the words of the control protocol.
#pragma once

#include "daemon/control/messages.hh"
#include "libckpt/store/page_store.hh"
#include "libckpt/vm/guest_backend.hh"

namespace ckpt {

const char *to_string(GuestKind kind);
const char *to_string(Tracking tracking);
const char *to_string(RunState state);
const char *to_string(CheckpointKind kind);

control::Checkpoint report(const Manifest &manifest);
// The parts that the backend knows; the rest is the caller's.
control::Guest report(const GuestInfo &guest);
control::VerifyReply report(const VerifyReport &found);
control::GcReply report(const GcReport &done, bool dry_run);

} // namespace ckpt
