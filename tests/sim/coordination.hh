// SPDX-License-Identifier: GPL-2.0-only
// The coordination store as the hosts see it: one record under compare-and-swap,
// reports, leases. It keeps state; who is told what, and when, is the simulation's.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "libckpt/protocol/recovery_types.hh"

namespace ckpt::sim {

struct CoordinationStore {
    bool answers = true;
    Record record;
    u64 revision = 1;
    std::set<ckpt::Host> leases;
    std::map<ckpt::Host, Report> reports;     // of record.incarnation
    std::set<ckpt::Host> done;                // with record.incarnation

    bool swap(const Propose &proposal) {
        if (proposal.revision != revision)
            return false;
        if (proposal.record.incarnation != record.incarnation) {
            reports.clear();
            done.clear();
        }
        record = proposal.record;
        revision++;
        return true;
    }
    std::vector<ckpt::Host> up() const { return {leases.begin(), leases.end()}; }
};

} // namespace ckpt::sim
