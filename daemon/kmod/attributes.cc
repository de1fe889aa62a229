// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/kmod/attributes.hh"

#include <linux/tlckpt.h>

namespace ckpt::kmod {

namespace {

using enum AttributeType;

constexpr const char *kModes[] = {"bcs", "ms"};
constexpr const char *kPolicies[] = {"hold", "pass"};
constexpr const char *kPhases[] = {"idle", "requested", "closed", "suspended", "cut"};
constexpr const char *kReasons[] = {"basic", "forced", "manual", "takeover"};
constexpr const char *kCarriers[] = {"shim", "geneve"};

constexpr Attribute kStats[] = {
    {TLCKPT_A_STATS_TX_STAMPED, "tx-stamped", u64},
    {TLCKPT_A_STATS_TX_EXEMPT, "tx-exempt", u64},
    {TLCKPT_A_STATS_TX_SEGMENTS, "tx-segments", u64},
    {TLCKPT_A_STATS_TX_ERRORS, "tx-errors", u64},
    {TLCKPT_A_STATS_RX_DELIVERED, "rx-delivered", u64},
    {TLCKPT_A_STATS_RX_LATE, "rx-late", u64},
    {TLCKPT_A_STATS_RX_HELD, "rx-held", u64},
    {TLCKPT_A_STATS_RX_RELEASED, "rx-released", u64},
    {TLCKPT_A_STATS_RX_PLAIN, "rx-plain", u64},
    {TLCKPT_A_STATS_RX_ERRORS, "rx-errors", u64},
    {TLCKPT_A_STATS_DROP_PLAIN, "drop-plain", u64},
    {TLCKPT_A_STATS_DROP_FORGED, "drop-forged", u64},
    {TLCKPT_A_STATS_DROP_OWN, "drop-own", u64},
    {TLCKPT_A_STATS_DROP_GHOST, "drop-ghost", u64},
    {TLCKPT_A_STATS_DROP_JUMP, "drop-jump", u64},
    {TLCKPT_A_STATS_DROP_FULL, "drop-full", u64},
    {TLCKPT_A_STATS_DROP_OWNERLESS, "drop-ownerless", u64},
};

constexpr Attribute kNode[] = {
    {TLCKPT_A_NODE_ID, "id", u16},
    {TLCKPT_A_NODE_CLUSTER, "cluster", u32},
    {TLCKPT_A_NODE_KEY, "key", binary},
    {TLCKPT_A_NODE_MODE, "mode", u8, {}, kModes},
    {TLCKPT_A_NODE_POLICY, "policy", u8, {}, kPolicies},
    {TLCKPT_A_NODE_STRICT, "strict", u8},
    {TLCKPT_A_NODE_JUMP, "jump", u64},
    {TLCKPT_A_NODE_MAX_FRAMES, "max-frames", u32},
    {TLCKPT_A_NODE_MAX_BYTES, "max-bytes", u64},
    {TLCKPT_A_NODE_GRACE_MS, "grace-ms", u32},
    {TLCKPT_A_NODE_LOG_BYTES, "log-bytes", u64},
    {TLCKPT_A_NODE_INCARNATION, "incarnation", u32},
    {TLCKPT_A_NODE_SN, "sn", u64},
    {TLCKPT_A_NODE_CAPTURED, "captured", u64},
    {TLCKPT_A_NODE_DURABLE, "durable", u64},
    {TLCKPT_A_NODE_TARGET, "target", u64},
    {TLCKPT_A_NODE_PHASE, "phase", u8, {}, kPhases},
    {TLCKPT_A_NODE_REASON, "reason", u8, {}, kReasons},
    {TLCKPT_A_NODE_CAUSE_PEER, "cause-peer", u16},
    {TLCKPT_A_NODE_CAUSE_SN, "cause-sn", u64},
    {TLCKPT_A_NODE_OWNER, "owner", u32},
    {TLCKPT_A_NODE_FROZEN, "frozen", u8},
    {TLCKPT_A_NODE_INTAKE_OPEN, "intake-open", u8},
    {TLCKPT_A_NODE_HELD_FRAMES, "held-frames", u32},
    {TLCKPT_A_NODE_HELD_BYTES, "held-bytes", u64},
    {TLCKPT_A_NODE_LOG_FRAMES, "log-frames", u32},
    {TLCKPT_A_NODE_LOG_USED, "log-used", u64},
    {TLCKPT_A_NODE_LOG_LOST, "log-lost", u64},
};

constexpr Attribute kPort[] = {
    {TLCKPT_A_PORT_IFINDEX, "ifindex", u32}, {TLCKPT_A_PORT_IFNAME, "ifname", text},
    {TLCKPT_A_PORT_AUTO, "auto", u8},        {TLCKPT_A_PORT_HELD, "held", u32},
    {TLCKPT_A_PORT_STATS, "stats", nest, kStats},
};

constexpr Attribute kLink[] = {
    {TLCKPT_A_LINK_IFINDEX, "ifindex", u32},
    {TLCKPT_A_LINK_IFNAME, "ifname", text},
    {TLCKPT_A_LINK_CARRIER, "carrier", u8, {}, kCarriers},
    {TLCKPT_A_LINK_REMOTE4, "remote4", ipv4},
    {TLCKPT_A_LINK_REMOTE6, "remote6", ipv6},
    {TLCKPT_A_LINK_VNI, "vni", u32},
    {TLCKPT_A_LINK_MTU, "mtu", u32},
    {TLCKPT_A_LINK_HELD, "held", u32},
    {TLCKPT_A_LINK_STATS, "stats", nest, kStats},
};

constexpr Attribute kPeer[] = {
    {TLCKPT_A_PEER_NODE, "node", u16},
    {TLCKPT_A_PEER_SN, "sn", u64},
    {TLCKPT_A_PEER_INCARNATION, "incarnation", u32},
    {TLCKPT_A_PEER_FORCED, "forced", u64},
    {TLCKPT_A_PEER_STATS, "stats", nest, kStats},
};

constexpr Attribute kStep[] = {
    {TLCKPT_A_STEP_SN, "sn", u64},
    {TLCKPT_A_STEP_PREV, "prev", u64},
    {TLCKPT_A_STEP_TARGET, "target", u64},
    {TLCKPT_A_STEP_REASON, "reason", u8, {}, kReasons},
    {TLCKPT_A_STEP_PEER, "peer", u16},
    {TLCKPT_A_STEP_K, "k", u64},
    {TLCKPT_A_STEP_MEMBER, "member", u64},
    {TLCKPT_A_STEP_RAISE, "raise", u64},
    {TLCKPT_A_STEP_INCARNATION, "incarnation", u32},
    {TLCKPT_A_STEP_PREVIOUS, "previous", u32},
    {TLCKPT_A_STEP_INTAKE_OPEN, "intake-open", flag},
};

constexpr Attribute kLog[] = {
    {TLCKPT_A_LOG_SN, "sn", u64},
    {TLCKPT_A_LOG_FROM, "from", u64},
    {TLCKPT_A_LOG_TO, "to", u64},
    {TLCKPT_A_LOG_FRAME_SN, "frame-sn", u64},
    {TLCKPT_A_LOG_INCARNATION, "incarnation", u32},
    {TLCKPT_A_LOG_PEER, "peer", u16},
    {TLCKPT_A_LOG_IFINDEX, "ifindex", u32},
    {TLCKPT_A_LOG_FRAME, "frame", binary},
};

constexpr Attribute kTop[] = {
    {TLCKPT_A_NODE, "node", nest, kNode}, {TLCKPT_A_PORT, "port", nest, kPort},
    {TLCKPT_A_LINK, "link", nest, kLink}, {TLCKPT_A_EXEMPT, "exempt", mac},
    {TLCKPT_A_PEER, "peer", nest, kPeer}, {TLCKPT_A_STEP, "step", nest, kStep},
    {TLCKPT_A_LOG, "log", nest, kLog},
};

constexpr Operation kOperations[] = {
    {TLCKPT_CMD_NODE_SET, "node-set", false},
    {TLCKPT_CMD_NODE_GET, "node-get", false},
    {TLCKPT_CMD_NODE_DEL, "node-del", false},
    {TLCKPT_CMD_PORT_ADD, "port-add", false},
    {TLCKPT_CMD_PORT_DEL, "port-del", false},
    {TLCKPT_CMD_PORT_GET, "port-get", true},
    {TLCKPT_CMD_LINK_ADD, "link-add", false},
    {TLCKPT_CMD_LINK_DEL, "link-del", false},
    {TLCKPT_CMD_LINK_GET, "link-get", true},
    {TLCKPT_CMD_EXEMPT_ADD, "exempt-add", false},
    {TLCKPT_CMD_EXEMPT_DEL, "exempt-del", false},
    {TLCKPT_CMD_EXEMPT_GET, "exempt-get", true},
    {TLCKPT_CMD_PEER_GET, "peer-get", true},
    {TLCKPT_CMD_OWN, "own", false},
    {TLCKPT_CMD_TICK, "tick", false},
    {TLCKPT_CMD_REQUEST, "request", false},
    {TLCKPT_CMD_CLOSE, "close", false},
    {TLCKPT_CMD_SUSPENDED, "suspended", false},
    {TLCKPT_CMD_CUT, "cut", false},
    {TLCKPT_CMD_CAPTURED, "captured", false},
    {TLCKPT_CMD_DURABLE, "durable", false},
    {TLCKPT_CMD_ABORT, "abort", false},
    {TLCKPT_CMD_FREEZE, "freeze", false},
    {TLCKPT_CMD_ROLLBACK, "rollback", false},
    {TLCKPT_CMD_THAW, "thaw", false},
    {TLCKPT_CMD_LOG_GET, "log-get", true},
    {TLCKPT_CMD_LOG_DEL, "log-del", false},
    {TLCKPT_CMD_INJECT, "inject", false},
    {TLCKPT_CMD_EV_REQUEST, "ev-request", false},
    {TLCKPT_CMD_EV_RECORD, "ev-record", false},
    {TLCKPT_CMD_EV_OWNER, "ev-owner", false},
    {TLCKPT_CMD_EV_FULL, "ev-full", false},
};

} // namespace

std::span<const Attribute> attributes() { return kTop; }
std::span<const Operation> operations() { return kOperations; }

const Operation *operation(std::string_view name) {
    for (const Operation &one : kOperations)
        if (one.name == name)
            return &one;
    return nullptr;
}

const Operation *operation(std::uint8_t command) {
    for (const Operation &one : kOperations)
        if (one.command == command)
            return &one;
    return nullptr;
}

} // namespace ckpt::kmod
