// SPDX-License-Identifier: GPL-2.0-only
// What a member remembers of its messages to and from one peer by one transport:
// the counts, and the last messages one by one. By these the checker tells
// whether two members stand on one line, and which message says that they do not.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/workload/message.hh"

namespace ckpt::workload {

// One message remembered.
struct Entry {
    std::uint64_t counter = 0; // 0: none
    std::uint64_t digest = 0;  // of the message
    std::uint64_t chain = 0;   // over all messages of the connection up to this one (TCP)
    std::uint64_t clock = 0;   // the sender's own clock in it
    std::uint64_t connection = 0;
};

// The newest entries, at most `room`, by counter.
class History {
  public:
    explicit History(std::size_t room) : entries_(room) {}
    Entry *find(std::uint64_t counter) {
        Entry &entry = entries_[counter % entries_.size()];
        return counter && entry.counter == counter ? &entry : nullptr;
    }
    // Too old to be told from one that was never there.
    bool forgot(std::uint64_t counter) const {
        return entries_[counter % entries_.size()].counter > counter;
    }
    void put(const Entry &entry) { entries_[entry.counter % entries_.size()] = entry; }
    // Unordered, empty ones included.
    const std::vector<Entry> &entries() const { return entries_; }
    void clear() { entries_.assign(entries_.size(), {}); }

  private:
    std::vector<Entry> entries_;
};

// The counts of one direction of one transport, as they are at one instant.
struct Counts {
    std::uint64_t messages = 0;   // sent, or received and not a duplicate
    std::uint64_t highest = 0;    // highest counter; of a sender always = messages
    std::uint64_t bytes = 0;      // of the messages counted
    std::uint64_t connection = 0; // TCP: to which the chain belongs
    std::uint64_t chain = 0;      // TCP: over the messages of this connection
    std::uint64_t first = 0;      // lowest counter seen
    std::uint64_t duplicates = 0; // the same message again
    std::uint64_t reordered = 0;  // arrived after one with a higher counter
    std::uint64_t conflicts = 0;  // a counter again, with another content: two histories met

    // Received side: counters between first and highest that never came.
    std::uint64_t lost() const { return messages ? highest - first + 1 - messages : 0; }
};

class Ledger {
  public:
    explicit Ledger(std::size_t room) : history_(room) {}

    const Counts &counts() const { return counts_; }
    const History &history() const { return history_; }

    // A new TCP connection: the chain starts anew, the counts go on.
    void start_connection(std::uint64_t connection);
    // The sender's next counter.
    std::uint64_t next() const { return counts_.messages + 1; }
    void sent(const Message &message);
    // By TCP. False if its counter is not the next one; only the first message of a connection
    // may leave some out (they are lost: what was under way when the last one broke).
    bool received_in_order(const Message &message, bool first);
    // In any order, by UDP.
    void received(const Message &message);
    // The peer began a new run: nothing it sent before counts any more.
    void forget() {
        const std::uint64_t connection = counts_.connection;
        counts_ = {};
        history_.clear();
        start_connection(connection);
    }

  private:
    void note(const Message &message);
    Counts counts_;
    History history_;
};

} // namespace ckpt::workload
