// SPDX-License-Identifier: GPL-2.0-only
// The memory under test: pages whose whole content follows from (seed, page,
// step of its last write), so that a torn, stale or foreign page is found and named.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libckpt/base/result.hh"

namespace ckpt::workload {

struct WorkingSetOptions {
    std::uint64_t seed = 0;
    std::uint64_t pages = 4096;
    // `hot_writes` percent of all writes go to the first `hot_pages` percent of the pages;
    // the other writes sweep over the rest.
    unsigned hot_writes = 90;
    unsigned hot_pages = 10;
};

// What is wrong with one page.
struct BadPage {
    std::uint64_t page;
    std::uint64_t expected_step;
    std::uint64_t found_step;
    const char *kind; // "torn", "stale", "from the future", "foreign"
};

class WorkingSet {
  public:
    static constexpr std::size_t kPageSize = 4096;

    // Maps and fills the set. Errors: what mmap says, EINVAL for options out of range.
    static Result<WorkingSet> create(const WorkingSetOptions &options);
    WorkingSet(WorkingSet &&other) noexcept;
    WorkingSet &operator=(WorkingSet &&) = delete;
    ~WorkingSet();

    // One write: step + 1, which decides the page. The whole page is written.
    void write_one();

    // Verifies `count` pages from where the last call ended, around the set.
    void verify_some(std::uint64_t count);
    // Verifies every page, and the digest against the table of steps.
    void verify_all();

    std::uint64_t step() const { return step_; }
    // Sum over all pages of a hash of (seed, page, step of last write).
    std::uint64_t digest() const { return digest_; }
    // Pages verified since the start.
    std::uint64_t verified() const { return verified_; }
    // The first bad pages found, at most kMaxBad; how many in all. Never forgotten.
    const std::vector<BadPage> &bad() const { return bad_; }
    std::uint64_t nr_bad() const { return nr_bad_; }
    bool digest_matches() const { return digest_matches_; }
    bool good() const { return nr_bad_ == 0 && digest_matches_; }

    // Damages one page, for tests of the verifier: "torn", "stale" or "foreign".
    // False if there is no such damage.
    bool damage(std::uint64_t page, const std::string &kind);

  private:
    static constexpr std::size_t kMaxBad = 16;
    explicit WorkingSet(const WorkingSetOptions &options) : options_(options) {}
    std::uint64_t base(std::uint64_t page, std::uint64_t step) const;
    std::uint64_t *words(std::uint64_t page) const;
    void fill(std::uint64_t page, std::uint64_t step, std::size_t nr_words);
    bool holds(std::uint64_t page, std::uint64_t step) const;
    std::uint64_t page_of(std::uint64_t step) const;
    void verify_page(std::uint64_t page);

    WorkingSetOptions options_;
    std::uint64_t nr_hot_ = 0;
    std::uint64_t *memory_ = nullptr;
    std::vector<std::uint64_t> last_step_; // of each page; in memory under test itself
    std::uint64_t step_ = 0;
    std::uint64_t digest_ = 0;
    std::uint64_t next_to_verify_ = 0;
    std::uint64_t verified_ = 0;
    std::uint64_t nr_bad_ = 0;
    bool digest_matches_ = true;
    std::vector<BadPage> bad_;
};

} // namespace ckpt::workload
