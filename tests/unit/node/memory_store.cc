// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/node/memory_store.hh"

#include <algorithm>

namespace ckpt {

class MemoryPart : public GuestWriter {
  public:
    MemoryPart(MemoryStore &store, const Uuid &uuid) : store_(store), uuid_(uuid) {}
    ~MemoryPart() override {
        std::lock_guard lock(store_.mutex_);
        store_.open_.erase(uuid_);
    }
    Status write(PageBatch batch) override {
        for (std::size_t i = 0; i < batch.size(); i++) {
            const auto *data = reinterpret_cast<const char *>(batch.data(i));
            pages_[batch.pfn(i)] = data ? std::string(data, kPageSize) : std::string();
        }
        return {};
    }
    Status seal(const StateRecords &state, GuestEntry entry) override {
        state_ = state;
        entry_ = std::move(entry);
        sealed_ = true;
        return {};
    }
    std::uint64_t bytes_written() const override { return pages_.size() * kPageSize; }

  private:
    friend class MemoryStore;
    MemoryStore &store_;
    Uuid uuid_;
    MemoryStore::Image pages_;
    StateRecords state_;
    GuestEntry entry_;
    bool sealed_ = false;
};

namespace {

class MemoryImage : public ImageReader {
  public:
    MemoryImage(GuestEntry entry, StateRecords state, MemoryStore::Image image)
        : entry_(std::move(entry)), state_(std::move(state)), image_(std::move(image)) {}
    const GuestEntry &entry() const override { return entry_; }
    const StateRecords &state() const override { return state_; }
    Status for_each(const std::function<Status(std::span<const Page>)> &visit) override {
        for (auto &[pfn, data] : image_) {
            Page page{pfn, data.empty() ? PageType::hole : PageType::normal,
                      data.empty() ? nullptr : reinterpret_cast<const std::byte *>(data.data())};
            CKPT_CHECK(visit({&page, 1}));
        }
        return {};
    }

  private:
    GuestEntry entry_;
    StateRecords state_;
    MemoryStore::Image image_;
};

} // namespace

Result<std::unique_ptr<GuestWriter>> MemoryStore::begin_guest(const Uuid &uuid) {
    std::lock_guard lock(mutex_);
    if (!open_.insert(uuid).second)
        return fail(EBUSY, "a part of guest {} is open", uuid.to_string());
    return std::make_unique<MemoryPart>(*this, uuid);
}

Status MemoryStore::commit(Manifest manifest, std::span<const std::unique_ptr<GuestWriter>> parts) {
    std::lock_guard lock(mutex_);
    Checkpoint checkpoint;
    for (auto &writer : parts) {
        auto &part = dynamic_cast<MemoryPart &>(*writer);
        if (!part.sealed_)
            return fail(EINVAL, "a part is not sealed");
        Stored stored{part.entry_, part.state_, {}};
        if (!part.entry_.full) {
            auto last = std::find_if(checkpoints_.rbegin(), checkpoints_.rend(), [&](auto &entry) {
                return entry.second.guests.count(part.uuid_) != 0;
            });
            if (last == checkpoints_.rend())
                return fail(EINVAL, "an increment without its base");
            stored.image = last->second.guests.at(part.uuid_).image;
        }
        for (auto &[pfn, data] : part.pages_)
            stored.image[pfn] = data;
        manifest.guests.push_back(part.entry_);
        checkpoint.guests[part.uuid_] = std::move(stored);
    }
    Sn sn = manifest.sn;
    checkpoint.manifest = std::move(manifest);
    if (!checkpoints_.emplace(sn, std::move(checkpoint)).second)
        return fail(EEXIST, "checkpoint {}", sn);
    return {};
}

Result<std::vector<Manifest>> MemoryStore::list() {
    std::lock_guard lock(mutex_);
    std::vector<Manifest> result;
    for (auto &[sn, checkpoint] : checkpoints_)
        result.push_back(checkpoint.manifest);
    return result;
}

Result<Manifest> MemoryStore::manifest(Sn sn) {
    std::lock_guard lock(mutex_);
    auto it = checkpoints_.find(sn);
    if (it == checkpoints_.end())
        return fail(ENOENT, "checkpoint {}", sn);
    return it->second.manifest;
}

Result<std::unique_ptr<ImageReader>> MemoryStore::open_image(Sn sn, const Uuid &uuid) {
    std::lock_guard lock(mutex_);
    auto it = checkpoints_.find(sn);
    if (it == checkpoints_.end() || !it->second.guests.count(uuid))
        return fail(ENOENT, "checkpoint {} of guest {}", sn, uuid.to_string());
    const Stored &stored = it->second.guests.at(uuid);
    return std::make_unique<MemoryImage>(stored.entry, stored.state, stored.image);
}

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
