// SPDX-License-Identifier: GPL-2.0-only
// What the nodes tell each other through the coordination store, and its JSON.
// Members are added, never renamed or removed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"
#include "libckpt/protocol/recovery_types.hh"

namespace ckpt {

// The version of these words and of what they mean; nodes of one cluster agree.
inline constexpr unsigned kClusterProtocol = 2;

// A node while its lease lives.
struct NodeRecord {
    Host host;
    std::string name;                // its part of the store
    std::vector<std::string> exempt; // link-layer addresses of its Dom0
};

// A durable checkpoint, and what people want to know before they go back to it.
struct CatalogueEntry {
    Capture capture;
    u64 cut_wall_ns = 0;
    u64 bytes = 0;  // to be read for a restore
    u64 frames = 0; // in its channel log
};

// What one node has; outlives its lease.
struct Catalogue {
    std::string name;
    Incarnation incarnation = 0;
    Sn sn = 0, captured = 0;
    // By group that the node runs, index rising.
    std::map<GroupId, std::vector<CatalogueEntry>> groups;
};

// Which group a guest belongs to: that of the node where it began.
struct GuestRecord {
    GroupId group = 0;
    std::string name;
};

std::string encode(const Record &record);
std::string encode(const Report &report);
std::string encode(const NodeRecord &node);
std::string encode(const Catalogue &catalogue);
std::string encode(const GuestRecord &guest);
std::string encode_done(const Host &host, Incarnation incarnation);

// EBADMSG: not what these functions write; names what is wrong.
Result<Record> decode_record(const std::string &text);
Result<Report> decode_report(const std::string &text);
Result<NodeRecord> decode_node(const std::string &text);
Result<Catalogue> decode_catalogue(const std::string &text);
Result<GuestRecord> decode_guest(const std::string &text);
Result<DoneSeen> decode_done(const std::string &text);

} // namespace ckpt
