// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/store/store_rig.hh"

#include <cstring>

namespace ckpt {

TempDir::TempDir(Where where) {
    std::filesystem::path base = std::filesystem::temp_directory_path();
    if (where == Where::memory && ::access("/dev/shm", W_OK) == 0)
        base = "/dev/shm";
    std::string name = (base / "ckpt-store-XXXXXX").string();
    if (!::mkdtemp(name.data()))
        std::abort();
    path_ = name;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::path(const std::string &name) const {
    return name.empty() ? path_.string() : (path_ / name).string();
}

void fill_page(std::byte *to, std::uint64_t seed) {
    std::uint64_t words[kPageSize / 8];
    for (std::size_t i = 0; i < std::size(words); i++)
        words[i] = seed * (i + 1);
    std::memcpy(to, words, kPageSize);
}

std::optional<std::uint64_t> seed_of(const std::byte *page) {
    std::uint64_t seed;
    std::byte wanted[kPageSize];
    std::memcpy(&seed, page, sizeof seed);
    fill_page(wanted, seed);
    if (std::memcmp(wanted, page, kPageSize) != 0)
        return {};
    return seed;
}

Uuid guest_id(unsigned n) {
    Uuid uuid;
    uuid.bytes[0] = 0xab;
    uuid.bytes[15] = static_cast<std::uint8_t>(n);
    return uuid;
}

StateRecords state_of(std::uint64_t seed, std::size_t bytes) {
    StateRecords state;
    state.config.assign(77, static_cast<std::byte>(seed));
    state.head.assign(bytes, static_cast<std::byte>(seed + 1));
    state.tail.assign(bytes / 3, static_cast<std::byte>(seed + 2));
    return state;
}

StoreRig::StoreRig(std::string directory, unsigned nr_batches)
    : arena_(std::move(PageArena::create(nr_batches).value())) {
    options.directory = std::move(directory);
    options.node = "n1";
    options.incarnation = 1;
    options.arena = arena_.get();
    options.create = true;
}

Status StoreRig::open() {
    store_.reset();
    store_ = CKPT_TRY(PageStore::open(options));
    return {};
}

Status StoreRig::write(GuestWriter &part, const ModelImage &pages, std::size_t per_batch) {
    PageBatch batch;
    for (const auto &[pfn, page] : pages) {
        if (!batch.valid())
            batch = arena_->get();
        if (has_contents(page.type))
            fill_page(batch.add(pfn, page.type), page.seed);
        else
            batch.add_empty(pfn, page.type);
        if (batch.size() == per_batch)
            CKPT_CHECK(part.write(std::move(batch)));
    }
    return batch.valid() ? part.write(std::move(batch)) : Status();
}

Result<std::unique_ptr<GuestWriter>> StoreRig::part(unsigned guest, const ModelImage &pages,
                                                    bool full, std::uint64_t state_seed) {
    auto part = CKPT_TRY(store_->begin_guest(guest_id(guest)));
    CKPT_CHECK(write(*part, pages));
    CKPT_CHECK(part->seal(state_of(state_seed), entry_of(guest, full)));
    return part;
}

Status StoreRig::checkpoint(Sn sn, unsigned guest, const ModelImage &pages, bool full) {
    std::vector<std::unique_ptr<GuestWriter>> parts;
    parts.push_back(CKPT_TRY(part(guest, pages, full, sn)));
    return store_->commit(manifest_of(sn), parts);
}

Manifest manifest_of(Sn sn) {
    Manifest manifest;
    manifest.sn = sn;
    manifest.prev = sn - 1;
    manifest.producer = "store test";
    manifest.cut_wall_ns = wall_clock_ns();
    return manifest;
}

GuestEntry entry_of(unsigned guest, bool full) {
    GuestEntry entry;
    entry.name = "guest" + std::to_string(guest);
    entry.full = full;
    entry.pfn_limit = kTestPfns;
    return entry;
}

Result<ModelImage> read_image(PageStore &store, Sn sn, unsigned guest) {
    auto reader = CKPT_TRY(store.open_image(sn, guest_id(guest)));
    ModelImage image;
    CKPT_CHECK(reader->for_each([&](std::span<const ImageReader::Page> pages) -> Status {
        for (const auto &page : pages) {
            if (has_contents(page.type) != (page.data != nullptr))
                return fail(EINVAL, "page {} with contents against its type", page.pfn);
            std::optional<std::uint64_t> seed = 0;
            if (page.data)
                seed = seed_of(page.data);
            if (!seed)
                return fail(EINVAL, "page {} is of no model", page.pfn);
            if (!image.emplace(page.pfn, ModelPage{page.type, *seed}).second)
                return fail(EINVAL, "page {} twice", page.pfn);
        }
        return {};
    }));
    return image;
}

ModelImage overlay(ModelImage base, const ModelImage &newer) {
    for (const auto &[pfn, page] : newer)
        base[pfn] = page;
    return base;
}

ModelImage pages_from(Pfn first, std::size_t n, std::uint64_t seed) {
    ModelImage image;
    for (std::size_t i = 0; i < n; i++)
        image[first + i] = {PageType::normal, seed * 1000003 + i};
    return image;
}

std::uint64_t number_from_env(const char *name, std::uint64_t otherwise) {
    const char *text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string message(const Status &status) {
    return status.has_value() ? "no error" : status.error().message();
}

} // namespace ckpt
