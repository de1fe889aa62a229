// SPDX-License-Identifier: GPL-2.0-only
// Malformed frames through what tlckpt.ko runs on arrived ones: the carrier's
// parser, the stamp codec, the protocol core with hold queue and steps between
// them. Every frame lies alone in memory of its own length, so that a read beyond
// it is found. Checked: without the key nothing moves the node, a replay forces
// nothing, what is from after the capture is never delivered, the bounds hold.
//   stamp-fuzz --frames N --seed N --tap OUT.tap
#include <tlckpt/carrier.h>
#include <tlckpt/proto.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using Octets = std::vector<u8>;

constexpr u16 kNode = 7, kPeer = 3;
constexpr u32 kMaxFrames = 32;

// The run ends at the first thing that must not be.
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "frame %lu: %s\n", frame_number, #condition);                     \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

unsigned long frame_number = 0;

tlckpt_cluster cluster_of(u8 first) {
    u8 key[TLCKPT_KEY_LEN];
    for (u8 i = 0; i < TLCKPT_KEY_LEN; i++)
        key[i] = static_cast<u8>(first + i);
    tlckpt_cluster cluster;
    tlckpt_cluster_init(&cluster, key, 9);
    return cluster;
}

// How a stamp came to be, which says what it may do.
enum class Kind { kForged, kReplay, kFresh };

class Fuzzer {
  public:
    explicit Fuzzer(u64 seed) : random_(seed) {
        const tlckpt_config config = {.jump = 1000,
                                      .max_bytes = 1 << 20,
                                      .max_frames = kMaxFrames,
                                      .node = kNode,
                                      .mode = TLCKPT_MODE_MS,
                                      .policy = TLCKPT_POLICY_HOLD,
                                      .strict = true};
        MUST(tlckpt_proto_init(&node_, &config, 0, 0) == 0);
        tlckpt_update update;
        const tlckpt_event thaw = {.type = TLCKPT_EV_THAW, .index = 0};
        MUST(tlckpt_proto_step(&node_, &thaw, &update) == 0);
    }

    void frame() {
        if (one_in(16))
            step();
        if (one_in(64))
            checkpoint();
        Kind kind = Kind::kForged;
        u8 wire[TLCKPT_STAMP_LEN];
        make_stamp(wire, kind);
        const bool option = one_in(2);
        Octets octets = option ? make_options(wire, kind) : make_shim(wire, kind);
        const bool damaged = damage(octets);
        // Alone in memory: ASan sees one octet too many.
        std::unique_ptr<u8[]> alone(new u8[octets.size() + 1]);
        u8 *at = alone.get() + 1; // and unaligned
        std::ranges::copy(octets, at);
        arrive(at, octets.size(), option, kind, damaged);
    }

    unsigned long count(Kind kind) const { return counts_[static_cast<int>(kind)]; }
    unsigned long read() const { return read_; }
    unsigned long held() const { return held_in_all_; }

  private:
    u32 any() { return static_cast<u32>(random_()); }
    u32 below(u32 n) { return any() % n; }
    bool one_in(u32 n) { return below(n) == 0; }

    void make_stamp(u8 *wire, Kind &kind) {
        tlckpt_stamp stamp{.sn = node_.view.sn, .incarnation = node_.view.incarnation, .node = kPeer};
        switch (below(4)) {
        case 0: // noise
            for (std::size_t i = 0; i < TLCKPT_STAMP_LEN; i++)
                wire[i] = static_cast<u8>(any());
            return;
        case 1: // right in all but the key
            stamp.sn += 1 + below(900);
            tlckpt_stamp_write(wire, &stamp, &stranger_);
            return;
        case 2: // said before
            kind = Kind::kReplay;
            stamp.sn -= stamp.sn ? below(static_cast<u32>(std::min<u64>(stamp.sn, 1 << 20))) : 0;
            stamp.node = static_cast<u16>(one_in(8) ? 1 + below(5000) : kPeer);
            break;
        default: // a peer that is ahead, absurdly so at times
            kind = Kind::kFresh;
            stamp.sn += one_in(4) ? u64{any()} << below(32) : below(3);
            stamp.incarnation += one_in(50);
        }
        tlckpt_stamp_write(wire, &stamp, &cluster_);
    }

    Octets make_shim(const u8 *wire, Kind &kind) {
        Octets octets(wire, wire + TLCKPT_STAMP_LEN);
        const bool padded = !one_in(16);
        octets.push_back(padded ? 0 : 0x81); // one turned bit does not heal it
        octets.push_back(0);
        if (!padded)
            kind = Kind::kForged;
        for (u32 more = 2 + below(60); more; more--)
            octets.push_back(static_cast<u8>(any()));
        return octets;
    }

    Octets make_options(const u8 *wire, Kind &kind) {
        Octets octets;
        bool there = false;
        for (u32 n = 1 + below(4); n; n--) {
            const bool ours = !there && (n == 1 || one_in(2)) && !one_in(16);
            const u8 words = static_cast<u8>(ours ? TLCKPT_STAMP_LEN / 4 : below(32));
            octets.push_back(ours ? 0xff : static_cast<u8>(below(0xff)));
            octets.push_back(ours ? 0 : static_cast<u8>(any()));
            octets.push_back(ours ? TLCKPT_OPTION_TYPE : static_cast<u8>(any()));
            octets.push_back(words);
            if (ours)
                octets.insert(octets.end(), wire, wire + TLCKPT_STAMP_LEN);
            else
                for (u32 i = 0; i < words * 4u; i++)
                    octets.push_back(static_cast<u8>(any()));
            there |= ours;
        }
        if (!there)
            kind = Kind::kForged;
        return octets;
    }

    // Cut, or one bit turned: what was valid is so no more, unless it was not touched.
    bool damage(Octets &octets) {
        if (one_in(8))
            octets.resize(below(static_cast<u32>(octets.size()) + 1));
        else if (one_in(8) && !octets.empty())
            octets[below(static_cast<u32>(octets.size()))] ^= static_cast<u8>(1 << below(8));
        else
            return false;
        return true;
    }

    void arrive(const u8 *at, std::size_t len, bool option, Kind kind,
                bool damaged) {
        const u8 *wire = nullptr;
        int found = 1;
        if (option)
            found = tlckpt_option_find(at, len, &wire);
        else if ((wire = tlckpt_shim_find(at, len)) == nullptr)
            found = -EINVAL;
        tlckpt_stamp stamp{};
        tlckpt_frame frame{};
        frame.bytes = 100 + below(2000);
        if (found == 1) {
            MUST(wire >= at && wire + TLCKPT_STAMP_LEN <= at + len);
            const int error = tlckpt_stamp_read(&stamp, wire, &cluster_);
            if (error == 0) {
                MUST(kind != Kind::kForged);
                read_++;
                frame.flags = TLCKPT_FRAME_STAMPED;
                frame.sn = stamp.sn;
                frame.incarnation = stamp.incarnation;
                frame.peer = stamp.node;
            } else {
                // Whole and made with the key: it is taken.
                MUST(kind == Kind::kForged || damaged);
            }
        } else {
            MUST(kind == Kind::kForged || damaged);
        }
        counts_[static_cast<int>(kind)]++;
        judge(frame, kind);
    }

    void judge(tlckpt_frame &frame, Kind kind) {
        const tlckpt_proto before = node_;
        const bool stamped = frame.flags & TLCKPT_FRAME_STAMPED;
        tlckpt_event event = {.type = TLCKPT_EV_FRAME, .index = 0};
        event.frame = &frame;
        tlckpt_update update;
        MUST(tlckpt_proto_step(&node_, &event, &update) == 0);
        if (!stamped) { // strict: dropped, and it tells nothing
            MUST(update.verdict == TLCKPT_DROP_PLAIN);
            MUST(std::memcmp(&before, &node_, sizeof(node_)) == 0);
        }
        if (kind != Kind::kFresh) {
            MUST(!(update.todo & (TLCKPT_DO_REQUEST | TLCKPT_DO_RECORD)));
            MUST(node_.target == before.target && node_.newest == before.newest);
        }
        MUST(node_.view.sn == before.view.sn && node_.view.captured == before.view.captured);
        if (update.verdict == TLCKPT_DELIVER && stamped)
            MUST(frame.sn <= node_.view.captured);
        if (node_.target > node_.view.sn)
            MUST(node_.target - node_.view.sn <= node_.config.jump + 1);
        if (update.verdict == TLCKPT_HOLD) {
            held_.push_back(frame);
            held_in_all_++;
        }
        MUST(node_.held_frames == held_.size() && held_.size() <= kMaxFrames);
    }

    // Any step at any time, with any argument: refused or right, never broken.
    void step() {
        tlckpt_event event = {.type = static_cast<tlckpt_event_type>(below(TLCKPT_NR_EVENTS + 1)),
                              .index = 0};
        const u64 values[] = {0, 1, node_.view.sn, node_.view.sn + 1, any(), ~u64{0}};
        switch (event.type) {
        case TLCKPT_EV_FRAME:
        case TLCKPT_EV_FREEZE: // a recovery is driven by others: not this one's business
            return;
        case TLCKPT_EV_DISCARD:
            event.discard = {.bytes = any(), .frames = kMaxFrames + 1};
            break;
        case TLCKPT_EV_OWNER_LOST:
            release_all();
            return;
        case TLCKPT_EV_ROLLBACK:
            event.rollback = {.k = values[below(6)],
                              .member = values[below(6)],
                              .raise = values[below(6)],
                              .incarnation = any(),
                              .previous = any()};
            break;
        default:
            event.index = values[below(6)];
        }
        const tlckpt_proto before = node_;
        tlckpt_update update;
        if (tlckpt_proto_step(&node_, &event, &update) != 0)
            MUST(std::memcmp(&before, &node_, sizeof(node_)) == 0 && update.refusal);
        if (update.todo & TLCKPT_DO_RELEASE)
            release_all();
    }

    // All of one checkpoint, from wherever the steps have left it.
    void checkpoint() {
        tlckpt_update update;
        for (tlckpt_event_type type : {TLCKPT_EV_REQUEST, TLCKPT_EV_CLOSE, TLCKPT_EV_SUSPENDED,
                                       TLCKPT_EV_CUT, TLCKPT_EV_CAPTURED, TLCKPT_EV_DURABLE}) {
            tlckpt_event event = {.type = type, .index = node_.view.sn};
            tlckpt_proto_step(&node_, &event, &update);
        }
        // The others went back: so does this node, or it would hold their frames for ever.
        if (node_.newest > node_.view.incarnation) {
            tlckpt_event event = {.type = TLCKPT_EV_FREEZE, .index = 0};
            MUST(tlckpt_proto_step(&node_, &event, &update) == 0);
            event.type = TLCKPT_EV_ROLLBACK;
            event.rollback = {.k = tlckpt_proto_present(&node_) + 1,
                              .member = 0,
                              .raise = 0,
                              .incarnation = node_.newest,
                              .previous = node_.view.incarnation};
            MUST(tlckpt_proto_step(&node_, &event, &update) == 0);
            event.type = TLCKPT_EV_THAW;
            MUST(tlckpt_proto_step(&node_, &event, &update) == 0);
        }
        release_all();
    }

    void release_all() {
        std::vector<tlckpt_frame> still;
        for (tlckpt_frame &frame : held_) {
            frame.flags |= TLCKPT_FRAME_HELD;
            tlckpt_event event = {.type = TLCKPT_EV_FRAME, .index = 0};
            event.frame = &frame;
            tlckpt_update update;
            MUST(tlckpt_proto_step(&node_, &event, &update) == 0);
            if (update.verdict == TLCKPT_HOLD)
                still.push_back(frame);
        }
        held_ = std::move(still);
        MUST(node_.held_frames == held_.size());
        if (held_.empty())
            MUST(node_.held_bytes == 0);
    }

    std::mt19937_64 random_;
    tlckpt_proto node_{};
    tlckpt_cluster cluster_ = cluster_of(1), stranger_ = cluster_of(2);
    std::vector<tlckpt_frame> held_;
    unsigned long counts_[3] = {}, read_ = 0, held_in_all_ = 0;
};

} // namespace

int main(int argc, char **argv) {
    unsigned long frames = 0, seed = 0;
    std::string tap;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string option = argv[i];
        if (option == "--frames")
            frames = std::strtoul(argv[i + 1], nullptr, 10);
        else if (option == "--seed")
            seed = std::strtoul(argv[i + 1], nullptr, 10);
        else if (option == "--tap")
            tap = argv[i + 1];
    }
    Fuzzer fuzzer(seed);
    for (frame_number = 1; frame_number <= frames; frame_number++)
        fuzzer.frame();
    std::string line = "ok - " + std::to_string(frames) + " malformed frames, seed " +
                       std::to_string(seed) + ": " + std::to_string(fuzzer.count(Kind::kForged)) +
                       " forged, " + std::to_string(fuzzer.count(Kind::kReplay)) + " replayed, " +
                       std::to_string(fuzzer.count(Kind::kFresh)) + " new; " +
                       std::to_string(fuzzer.read()) + " stamps valid, " +
                       std::to_string(fuzzer.held()) + " held\n";
    std::fputs(line.c_str(), stdout);
    std::FILE *out = std::fopen(tap.c_str(), "w");
    if (!frames || !out || std::fputs(line.c_str(), out) < 0 || std::fclose(out))
        return 2;
    return 0;
}
