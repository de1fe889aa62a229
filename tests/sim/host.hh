// SPDX-License-Identifier: GPL-2.0-only
// What the simulation keeps of frames, nodes and groups of guests.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include <tlckpt/proto.h>

#include "libckpt/protocol/recovery.hh"
#include "tests/sim/event_queue.hh"

namespace ckpt::sim {

// One frame between two groups, wherever it is. What follows `stamp` is for the
// checker: the protocol does not see it.
struct Frame {
    tlckpt_frame stamp;
    u32 src = 0, dst = 0;  // groups
    u64 position = 0;      // of the sending in its group's history
    Sn reach = 0;          // newest capture of the sending group by then
    u32 epoch = 0;         // rollbacks of the sending group by then
    u32 message = 0;       // in the checker's records
};

struct LogEntry {
    Frame frame;
    Time when = 0;
};

enum class Fate : u8 { memory, durable };

// A group's part of one node checkpoint.
struct Image {
    Sn index = 0, prev = 0;
    Incarnation incarnation = 0;
    Fate fate = Fate::memory;
    u64 position = 0;  // of the cut in the group's history
    std::vector<LogEntry> log;
};

// The guests that began on one node.
struct Group {
    unsigned host = 0;  // that runs it
    bool running = true;
    std::deque<Image> images;  // finished captures that are not undone or lost, index rising
};

// One node checkpoint under way, between CUT and CAPTURED.
struct OpenCapture {
    Sn index = 0;
    std::vector<std::pair<unsigned, Image>> parts;  // group, its part
};

struct HostStats {
    u64 basic = 0, forced = 0, other = 0, skipped = 0, aborted = 0;
};

// One Dom0.
struct HostState {
    ckpt::Host id;
    bool alive = true;
    bool isolated = false;   // does not reach the coordination store
    bool daemon = true;
    tlckpt_proto core;
    std::vector<unsigned> groups;  // that run, or are being restored, here
    HostStats stats;

    // Sent by the guests, not yet taken by netback: with the time when it is.
    std::deque<std::pair<Time, u32>> ring;

    // The hold queue, in order of arrival, and how many of each sender are in it.
    std::deque<u32> held;
    std::unordered_map<u16, u32> held_of;

    // The checkpoint under way. A later step is of no meaning once `attempt` moved on.
    u32 attempt = 0;
    bool attempt_runs = false;
    u8 attempt_reason = 0;
    Time closed_at = 0;
    bool guests_stopped = false;  // some may be
    OpenCapture capture;

    // Captures on their way to stable storage.
    Time disk_free = 0;
    u32 persisting = 0;
    u32 persist_epoch = 0;  // what was begun in an older one is lost

    double clock_rate = 1;  // of the basic timer
    u32 tick_epoch = 0;

    std::unique_ptr<Recovery> recovery;  // null: nothing can fail
    Incarnation settle_for = 0;          // answer Settled when nothing persists; 0: no
    u32 apply_epoch = 0;
};

} // namespace ckpt::sim
