// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/ledger.hh"

#include <algorithm>

#include "tests/workload/mix.hh"

namespace ckpt::workload {

void Ledger::start_connection(std::uint64_t connection) {
    counts_.connection = connection;
    counts_.chain = mix(connection);
}

void Ledger::note(const Message &message) {
    counts_.messages++;
    counts_.bytes += message.size;
    counts_.chain = mix(counts_.chain ^ message.digest);
    history_.put({message.counter, message.digest, counts_.chain, message.clock.of(message.from),
                  message.connection});
}

void Ledger::sent(const Message &message) {
    note(message);
    counts_.highest = message.counter;
    counts_.first = 1;
}

bool Ledger::received_in_order(const Message &message, bool first) {
    const bool next = message.counter == counts_.highest + 1 ||
                      (first && message.counter > counts_.highest);
    if (next)
        received(message);
    return next;
}

void Ledger::received(const Message &message) {
    if (const Entry *known = history_.find(message.counter)) {
        if (known->digest == message.digest)
            counts_.duplicates++;
        else
            counts_.conflicts++;
        return;
    }
    if (history_.forgot(message.counter)) {
        counts_.duplicates++;
        return;
    }
    if (message.counter < counts_.highest)
        counts_.reordered++;
    counts_.highest = std::max(counts_.highest, message.counter);
    counts_.first = counts_.messages ? std::min(counts_.first, message.counter) : message.counter;
    note(message);
}

} // namespace ckpt::workload
