// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/image.hh"

#include <algorithm>

#include "libckpt/store/page_reader.hh"
#include "libckpt/store/record.hh"

namespace ckpt {

namespace {

alignas(kPageSize) constexpr std::byte kZeroPage[kPageSize]{};

class StoredImage : public ImageReader {
  public:
    StoredImage(const Disk &disk, const Uuid &guest) : files_(disk, guest) {}

    Status open(const Catalog &catalog, Sn sn) {
        auto no_guest = [&] {
            return fail(ENOENT, "{}: checkpoint {} has no guest {}", catalog.folder(), sn,
                        files_.guest().to_string());
        };
        // Before the manifest is read: what it names then stays.
        auto lock = files_.lock_for_reading();
        const StoredManifest stored = CKPT_TRY(catalog.read(sn));
        const int place = stored.find(files_.guest());
        if (place < 0)
            return no_guest();
        lock_ = CKPT_TRY(std::move(lock));
        entry_ = stored.entry(static_cast<std::size_t>(place));
        const GuestStorage &storage = stored.storage[static_cast<std::size_t>(place)];
        RunEntries image =
            CKPT_TRY(RunCache(files_).image(storage.runs, entry_.pfn_limit));
        const auto stored_end = std::ranges::partition(
            image, [](const tlckpt_run_entry &entry) { return key_stored(entry.key); });
        bare_.assign(stored_end.begin(), image.end());
        image.erase(stored_end.begin(), image.end());
        pages_ = std::move(image);
        sort_by_place(pages_);
        return read_state(storage.state);
    }

    const GuestEntry &entry() const override { return entry_; }
    const StateRecords &state() const override { return state_; }

    Status for_each(const std::function<Status(std::span<const Page>)> &visit) override {
        std::vector<Page> group;
        auto flush = [&]() -> Status {
            Status status = group.empty() ? Status() : visit(group);
            group.clear();
            return status;
        };
        for (const tlckpt_run_entry &entry : bare_) {
            group.push_back({key_pfn(entry.key), key_type(entry.key),
                             entry.key & TLCKPT_KEY_ZERO ? kZeroPage : nullptr});
            if (group.size() == PageBatch::kCapacity)
                CKPT_CHECK(flush());
        }
        CKPT_CHECK(flush());
        return read_pages(files_, pages_, [&](auto entries, auto contents) {
            for (std::size_t i = 0; i < entries.size(); i++)
                group.push_back(
                    {key_pfn(entries[i].key), key_type(entries[i].key), contents[i]});
            return flush();
        });
    }

  private:
    Status read_state(const tlckpt_item_state &place) {
        const std::string path = files_.segment(place.segment);
        Fd fd = CKPT_TRY(files_.disk().open_read(path));
        state_ = CKPT_TRY(read_state_record(fd.get(), files_.disk().full_path(path),
                                            {files_.guest(), place.segment, place.block}));
        return {};
    }

    GuestFiles files_;
    Fd lock_;
    GuestEntry entry_;
    StateRecords state_;
    RunEntries bare_;  // no contents stored
    RunEntries pages_; // by place
};

} // namespace

Result<std::unique_ptr<ImageReader>> open_stored_image(const Disk &disk, const Catalog &catalog,
                                                       Sn sn, const Uuid &guest) {
    auto image = std::make_unique<StoredImage>(disk, guest);
    CKPT_CHECK(image->open(catalog, sn));
    return image;
}

} // namespace ckpt
