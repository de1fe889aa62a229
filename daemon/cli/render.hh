// SPDX-License-Identifier: GPL-2.0-only
// Replies as people read them. Each returns the exit code of the tool.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "daemon/control/messages.hh"

namespace ckpt::cli {

// The reply is not what this version of the tool understands.
inline constexpr int kNotUnderstood = -1;

int render_status(const control::StatusReply &reply, std::ostream &out);
int render_guests(const control::GuestsReply &reply, std::ostream &out);
int render_requested(const control::Requested &reply, std::ostream &out);
int render_list(const control::ListReply &reply, std::ostream &out);
int render_show(const control::Checkpoint &reply, std::ostream &out);
int render_restore(const control::RestoreReply &reply, std::ostream &out);
// 1 if anything is damaged.
int render_verify(const control::VerifyReply &reply, std::ostream &out);
int render_gc(const control::GcReply &reply, std::ostream &out);
int render_cluster(const control::Cluster &cluster, std::ostream &out);
// By the worst: 0 ok, 1 refuse, 3 warn.
int render_doctor(const control::DoctorReply &reply, std::ostream &out);
int render_plan(const control::PlanReply &reply, std::ostream &out);

// "0", "850 us", "17.3 ms", "1.25 s".
std::string duration_text(std::uint64_t ns);
// "0 B", "4.1 MiB".
std::string size_text(std::uint64_t bytes);
// Local time, "2026-11-23 05:00:01".
std::string time_text(std::uint64_t wall_ns);

} // namespace ckpt::cli
