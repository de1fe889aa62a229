// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/working_set.hh"

#include <algorithm>
#include <sys/mman.h>

#include "tests/workload/mix.hh"

namespace ckpt::workload {

namespace {
constexpr std::size_t kWords = WorkingSet::kPageSize / sizeof(std::uint64_t);
// Words 0 and 1 name the page and its step; the rest is pattern.
constexpr std::size_t kFirstPattern = 2;

constexpr std::uint64_t pattern(std::uint64_t base, std::size_t word) {
    return (base + word) * 0xd6e8feb86659fd93U;
}
} // namespace

Result<WorkingSet> WorkingSet::create(const WorkingSetOptions &options) {
    if (options.pages < 2 || options.hot_writes > 100 || options.hot_pages > 100)
        return fail(EINVAL, "working set: at least 2 pages, percents up to 100");
    WorkingSet set(options);
    set.nr_hot_ = std::clamp<std::uint64_t>(options.pages * options.hot_pages / 100, 1,
                                            options.pages - 1);
    void *memory = mmap(nullptr, options.pages * kPageSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail(errno, "working set of {} pages", options.pages);
    set.memory_ = static_cast<std::uint64_t *>(memory);
    set.last_step_.assign(options.pages, 0);
    for (std::uint64_t page = 0; page < options.pages; page++) {
        set.fill(page, 0, kWords);
        set.digest_ += mix(set.base(page, 0));
    }
    return set;
}

WorkingSet::WorkingSet(WorkingSet &&other) noexcept
    : options_(other.options_), nr_hot_(other.nr_hot_),
      memory_(std::exchange(other.memory_, nullptr)), last_step_(std::move(other.last_step_)),
      step_(other.step_), digest_(other.digest_), next_to_verify_(other.next_to_verify_),
      verified_(other.verified_), nr_bad_(other.nr_bad_),
      digest_matches_(other.digest_matches_), bad_(std::move(other.bad_)) {}

WorkingSet::~WorkingSet() {
    if (memory_)
        munmap(memory_, options_.pages * kPageSize);
}

std::uint64_t WorkingSet::base(std::uint64_t page, std::uint64_t step) const {
    return mix(mix(options_.seed ^ page) ^ step);
}

std::uint64_t *WorkingSet::words(std::uint64_t page) const { return memory_ + page * kWords; }

void WorkingSet::fill(std::uint64_t page, std::uint64_t step, std::size_t nr_words) {
    const std::uint64_t from = base(page, step);
    std::uint64_t *word = words(page);
    word[0] = page;
    word[1] = step;
    for (std::size_t i = kFirstPattern; i < nr_words; i++)
        word[i] = pattern(from, i);
}

bool WorkingSet::holds(std::uint64_t page, std::uint64_t step) const {
    const std::uint64_t from = base(page, step);
    const std::uint64_t *word = words(page);
    std::uint64_t difference = (word[0] ^ page) | (word[1] ^ step);
    for (std::size_t i = kFirstPattern; i < kWords; i++)
        difference |= word[i] ^ pattern(from, i);
    return difference == 0;
}

// A pure function of (seed, step): who knows the step knows every page's content.
std::uint64_t WorkingSet::page_of(std::uint64_t step) const {
    const std::uint64_t dice = mix(options_.seed + step);
    if (dice % 100 < options_.hot_writes)
        return (dice >> 8) % nr_hot_;
    return nr_hot_ + step % (options_.pages - nr_hot_);
}

void WorkingSet::write_one() {
    const std::uint64_t step = step_ + 1;
    const std::uint64_t page = page_of(step);
    digest_ += mix(base(page, step)) - mix(base(page, last_step_[page]));
    fill(page, step, kWords);
    last_step_[page] = step;
    step_ = step;
}

void WorkingSet::verify_page(std::uint64_t page) {
    verified_++;
    const std::uint64_t expected = last_step_[page];
    if (holds(page, expected))
        return;
    nr_bad_++;
    if (bad_.size() == kMaxBad)
        return;
    const std::uint64_t found = words(page)[1];
    const char *kind = "torn";
    if (words(page)[0] != page)
        kind = "foreign";
    else if (holds(page, found))
        kind = found < expected ? "stale" : "from the future";
    bad_.push_back({page, expected, found, kind});
}

void WorkingSet::verify_some(std::uint64_t count) {
    for (; count > 0; count--) {
        verify_page(next_to_verify_);
        next_to_verify_ = (next_to_verify_ + 1) % options_.pages;
    }
}

void WorkingSet::verify_all() {
    next_to_verify_ = 0;
    verify_some(options_.pages);
    std::uint64_t sum = 0;
    for (std::uint64_t page = 0; page < options_.pages; page++)
        sum += mix(base(page, last_step_[page]));
    digest_matches_ = digest_matches_ && sum == digest_;
}

bool WorkingSet::damage(std::uint64_t page, const std::string &kind) {
    if (page >= options_.pages)
        return false;
    if (kind == "torn") { // the first half of another write of this page
        fill(page, last_step_[page] + 1, kWords / 2);
    } else if (kind == "stale") { // as if the page's last write had been missed
        last_step_[page]++;
        step_ = std::max(step_, last_step_[page]);
    } else if (kind == "foreign") { // another page in its place
        std::copy_n(words((page + 1) % options_.pages), kWords, words(page));
    } else {
        return false;
    }
    return true;
}

} // namespace ckpt::workload
