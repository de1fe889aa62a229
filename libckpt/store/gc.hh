// SPDX-License-Identifier: GPL-2.0-only
// Garbage collection of one guest's files (R13): removes what no checkpoint of
// any node refers to, cuts off what crashes left, has mostly dead segments
// compacted.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "libckpt/base/log.hh"
#include "libckpt/io/io_thread.hh"
#include "libckpt/store/lineage.hh"
#include "libckpt/store/live_map.hh"
#include "libckpt/store/manifest.hh"
#include "libckpt/store/page_store.hh"

namespace ckpt {

// What the collection works with.
struct GcContext {
    const Catalog &catalog; // this node's manifests
    std::mutex &commit;     // held while they change
    IoThread &io;
    Logger *logger; // may be null
    bool only_node; // the store has no other node's part
};

class GuestCollector {
  public:
    // Notes the files that may be touched. To be called before the manifests
    // are read: what is made or committed later is left alone.
    static Result<GuestCollector> begin(const GcContext &context,
                                        std::shared_ptr<Lineage> lineage);

    const Uuid &guest() const { return lineage_->files.guest(); }
    // What is to be kept: the guest's images in this node's kept checkpoints
    // and in other nodes'. Called with the commit lock, under which `own` was
    // read: what is committed later builds on these.
    void keep(std::vector<ImageRef> own, std::vector<ImageRef> foreign, bool dry_run);
    // Adds what it did, or with `dry_run` what it would do, to `report`. True:
    // there is more to do, after keep().
    Result<bool> collect(bool dry_run, GcReport &report);

  private:
    // Segments with less than this part of their blocks live are rewritten, so
    // that the store never takes more than about twice what it needs.
    static constexpr double kMinLive = 0.5;

    GuestCollector(const GcContext &context, std::shared_ptr<Lineage> lineage)
        : context_(context), lineage_(std::move(lineage)) {}

    Status survey();
    bool is_ours(const GuestFiles::File &file) const;
    std::uint64_t live_bytes(const GuestFiles::File &file) const;
    void plan(GcReport &report) const;
    Result<bool> free_space(GcReport &report);
    std::set<std::uint32_t> next_group() const;
    Result<bool> compact(GcReport &report);

    const GcContext &context_;
    std::shared_ptr<Lineage> lineage_;
    std::vector<GuestFiles::File> candidates_;
    std::vector<ImageRef> own_, foreign_;
    LiveMap live_;
    std::vector<GuestFiles::File> dead_;   // nothing refers to them
    std::vector<GuestFiles::File> tails_;  // with garbage behind the last live block
    std::vector<GuestFiles::File> sparse_; // to be compacted, sparsest first
    bool one_by_one_ = false;              // there is no room to move more at a time
};

} // namespace ckpt
