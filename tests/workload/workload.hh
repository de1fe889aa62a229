// SPDX-License-Identifier: GPL-2.0-only
// The workload itself: dirties and verifies memory, talks, logs, answers. All of
// its state changes in one thread, and never before a freeze that came first is noticed:
// the state at the freeze is kept as a mark.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "tests/workload/control.hh"
#include "tests/workload/disk_log.hh"
#include "tests/workload/event_log.hh"
#include "tests/workload/exchange.hh"
#include "tests/workload/gap_watch.hh"
#include "tests/workload/options.hh"
#include "tests/workload/pacer.hh"
#include "tests/workload/snapshot.hh"
#include "tests/workload/working_set.hh"

namespace ckpt::workload {

class Workload {
  public:
    static Result<std::unique_ptr<Workload>> create(const Options &options);
    // Runs until a query says `quit`.
    void run();

  private:
    static constexpr std::size_t kMaxMarks = 64;

    Workload(const Options &options, WorkingSet memory);
    void notice_freeze();
    void keep(Mark mark);
    void work(SteadyTime now);
    void log_to_disk(SteadyTime now);
    Duration patience(SteadyTime now) const;
    Snapshot snapshot() const;
    void say_state() const;
    std::string answer(const std::string &request);
    std::string state_json(bool with_history);

    const Options options_;
    const std::uint64_t run_;
    WorkingSet memory_;
    EventLog log_;
    GapWatch gaps_;
    std::unique_ptr<Exchange> exchange_;
    std::unique_ptr<DiskLog> disk_;
    std::unique_ptr<Control> control_;
    Pacer dirty_, verify_, udp_, tcp_, record_, console_;
    std::deque<Mark> marks_; // newest last; of too many, stalls go before suspends
    bool talking_ = true;
    bool quit_ = false;
};

} // namespace ckpt::workload
