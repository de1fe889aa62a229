// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/node/faulty_store.hh"

namespace ckpt {

class FaultyPart : public GuestWriter {
  public:
    FaultyPart(FaultyStore &store, std::unique_ptr<GuestWriter> part)
        : store_(store), part_(std::move(part)) {}
    Status write(PageBatch batch) override {
        CKPT_CHECK(store_.may("write"));
        return part_->write(std::move(batch));
    }
    Status seal(const StateRecords &state, GuestEntry entry) override {
        CKPT_CHECK(store_.may("seal"));
        return part_->seal(state, std::move(entry));
    }
    Status seal_disk(DiskEntry entry) override {
        CKPT_CHECK(store_.may("seal"));
        return part_->seal_disk(std::move(entry));
    }
    std::uint64_t bytes_written() const override { return part_->bytes_written(); }

  private:
    friend class FaultyStore;
    FaultyStore &store_;
    std::unique_ptr<GuestWriter> part_;
};

Status FaultyStore::may(const std::string &call) {
    std::lock_guard lock(mutex_);
    if (int error = decide_(call))
        return fail(error, "injected at {}", call);
    return {};
}

Result<std::unique_ptr<GuestWriter>> FaultyStore::begin_guest(const Uuid &uuid) {
    CKPT_CHECK(may("begin"));
    return std::make_unique<FaultyPart>(*this, CKPT_TRY(store_.begin_guest(uuid)));
}

Status FaultyStore::commit(Manifest manifest, std::span<const std::unique_ptr<GuestWriter>> parts) {
    CKPT_CHECK(may("commit"));
    // The store below knows its own parts only; they are lent to it.
    std::vector<std::unique_ptr<GuestWriter>> inner;
    for (auto &part : parts)
        inner.push_back(std::move(dynamic_cast<FaultyPart &>(*part).part_));
    return store_.commit(std::move(manifest), inner);
}

} // namespace ckpt
