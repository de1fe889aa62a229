// SPDX-License-Identifier: GPL-2.0-only
// A guest's state beside its pages, as records of the migration stream. What
// can be read while the guest runs is read by prepare(): the pause has only
// what changes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libckpt/base/migration_stream.hh"
#include "libckpt/base/uuid.hh"
#include "libckpt/vm/guest_backend.hh"
#include "libckpt/vm/xen_handles.hh"
#include "libckpt/vm/xen_hypercalls.h"
#include "libckpt/vm/xen_space.hh"

namespace ckpt::xen {

class State {
  public:
    virtual ~State() = default;
    // Before each pause, the guest runs.
    virtual Status prepare() = 0;
    // The guest is suspended. The configuration is not part of it.
    virtual Result<StateRecords> read() = 0;
};

Result<std::unique_ptr<State>> open_hvm_state(Handles &handles, std::uint32_t domid);
Result<std::unique_ptr<State>> open_pv_state(Handles &handles, std::uint32_t domid,
                                             xen_calls *calls, const PvSpace &space,
                                             unsigned nr_vcpus);

// Stream headers and the CPU policy, the same for a guest's whole life; for a
// PV guest its word width and page-table levels come first.
Result<std::vector<std::byte>> static_records(Handles &handles, std::uint32_t domid,
                                              stream::DomainType type);
// Appends the time-stamp counter's record.
Status append_tsc(Handles &handles, std::uint32_t domid, std::vector<std::byte> &out);

// The configuration that xl keeps of a guest that it made.
Result<std::vector<std::byte>> read_configuration(std::uint32_t domid, const Uuid &uuid);

} // namespace ckpt::xen
