// SPDX-License-Identifier: GPL-2.0-only
// What the store's tests share: a directory of their own, guests whose pages
// are made from numbers, and the comparison of an image with what it must be.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "libckpt/store/page_store.hh"

namespace ckpt {

class TempDir {
  public:
    enum class Where { disk, memory }; // memory: for tests with thousands of flushes
    explicit TempDir(Where where = Where::disk);
    ~TempDir();
    TempDir(const TempDir &) = delete;
    std::string path(const std::string &name = "") const;

  private:
    std::filesystem::path path_;
};

// A page as the tests mean it: contents are a function of `seed`, 0 is a page
// of zeroes.
struct ModelPage {
    PageType type = PageType::normal;
    std::uint64_t seed = 0;
    bool operator==(const ModelPage &) const = default;
};
using ModelImage = std::map<Pfn, ModelPage>;

void fill_page(std::byte *to, std::uint64_t seed);
Uuid guest_id(unsigned n);
StateRecords state_of(std::uint64_t seed, std::size_t bytes = 5000);

inline constexpr Pfn kTestPfns = 4096;

// A store in `directory` with its arena; opened anew at will.
class StoreRig {
  public:
    explicit StoreRig(std::string directory, unsigned nr_batches = 8);

    StoreOptions options;
    Status open();
    void close() { store_.reset(); }
    PageStore &store() { return *store_; }
    PageArena &arena() { return *arena_; }

    // Writes pages to the part, a few batches of them.
    Status write(GuestWriter &part, const ModelImage &pages, std::size_t per_batch = 256);
    // One guest's whole part: begun, written, sealed.
    Result<std::unique_ptr<GuestWriter>> part(unsigned guest, const ModelImage &pages, bool full,
                                              std::uint64_t state_seed = 0);
    // A checkpoint of one guest.
    Status checkpoint(Sn sn, unsigned guest, const ModelImage &pages, bool full);

  private:
    std::unique_ptr<PageArena> arena_;
    std::unique_ptr<PageStore> store_;
};

Manifest manifest_of(Sn sn);
GuestEntry entry_of(unsigned guest, bool full);
// Reads the guest's image at `sn`.
Result<ModelImage> read_image(PageStore &store, Sn sn, unsigned guest);
// Which seed made this page; nothing if none did.
std::optional<std::uint64_t> seed_of(const std::byte *page);

ModelImage overlay(ModelImage base, const ModelImage &newer);
// `n` pages from `first` on, with contents that follow from `seed`.
ModelImage pages_from(Pfn first, std::size_t n, std::uint64_t seed);

std::string message(const Status &status);
// The number in the environment variable `name`, for repeating seeds.
std::uint64_t number_from_env(const char *name, std::uint64_t otherwise);

} // namespace ckpt
