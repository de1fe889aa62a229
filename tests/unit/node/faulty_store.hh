// SPDX-License-Identifier: GPL-2.0-only
// A page store in front of another one that makes its calls fail.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "libckpt/store/page_store.hh"

namespace ckpt {

// Calls that may be made to fail, each with what decides it: called with the
// call's name ("begin", "write", "seal", "commit"); zero, or an errno.
class FaultyStore : public PageStore {
  public:
    using Decide = std::function<int(const std::string &call)>;
    FaultyStore(PageStore &store, Decide decide) : store_(store), decide_(std::move(decide)) {}

    Result<std::unique_ptr<GuestWriter>> begin_guest(const Uuid &uuid) override;
    Status commit(Manifest manifest, std::span<const std::unique_ptr<GuestWriter>> parts) override;
    Result<std::vector<Manifest>> list() override { return store_.list(); }
    Result<Manifest> manifest(Sn sn) override { return store_.manifest(sn); }
    Result<std::unique_ptr<ImageReader>> open_image(Sn sn, const Uuid &uuid) override {
        return store_.open_image(sn, uuid);
    }
    Result<VerifyReport> verify(const Progress &progress) override {
        return store_.verify(progress);
    }
    Result<GcReport> collect_garbage(Sn keep_from, bool dry_run) override {
        return store_.collect_garbage(keep_from, dry_run);
    }
    Result<StoreUsage> usage() override { return store_.usage(); }
    Status enter_incarnation(std::uint32_t incarnation,
                             const std::function<bool(const Manifest &)> &undone) override {
        return store_.enter_incarnation(incarnation, undone);
    }
    Status check_owner() override { return store_.check_owner(); }

  private:
    friend class FaultyPart;
    Status may(const std::string &call);

    PageStore &store_;
    std::mutex mutex_;
    Decide decide_;
};

} // namespace ckpt
