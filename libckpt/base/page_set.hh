// SPDX-License-Identifier: GPL-2.0-only
// A set of pfns: a bitmap with the hypervisor's own layout (bit = pfn, little
// endian words), so that a log-dirty bitmap is or-ed in by words.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "libckpt/base/page.hh"

namespace ckpt {

class PageSet {
  public:
    // Holds pfns below `limit`.
    explicit PageSet(Pfn limit = 0) : words_((limit + 63) / 64), limit_(limit) {}

    Pfn limit() const { return limit_; }
    bool contains(Pfn pfn) const { return pfn < limit_ && (words_[pfn / 64] >> (pfn % 64) & 1); }
    void insert(Pfn pfn) { words_[pfn / 64] |= std::uint64_t{1} << (pfn % 64); }
    void erase(Pfn pfn) { words_[pfn / 64] &= ~(std::uint64_t{1} << (pfn % 64)); }
    void clear() { words_.assign(words_.size(), 0); }
    // Adds all of `other`, whose limit is not above this one's.
    void merge(const PageSet &other) {
        for (std::size_t i = 0; i < other.words_.size(); i++)
            words_[i] |= other.words_[i];
    }
    // Removes all that `other` has, whose limit is not above this one's.
    void subtract(const PageSet &other) {
        for (std::size_t i = 0; i < other.words_.size(); i++)
            words_[i] &= ~other.words_[i];
    }
    std::uint64_t count() const {
        std::uint64_t n = 0;
        for (std::uint64_t word : words_)
            n += static_cast<unsigned>(std::popcount(word));
        return n;
    }
    bool empty() const {
        for (std::uint64_t word : words_)
            if (word)
                return false;
        return true;
    }
    // Calls `visit(pfn)` for each member in ascending order.
    template <typename Visit> void for_each(Visit &&visit) const {
        for (std::size_t i = 0; i < words_.size(); i++)
            for (std::uint64_t word = words_[i]; word; word &= word - 1)
                visit(static_cast<Pfn>(i * 64 + static_cast<unsigned>(std::countr_zero(word))));
    }
    // Appends the first members not below `from` to `members`, up to `count`.
    void first(Pfn from, std::size_t count, std::vector<Pfn> &members) const {
        for (std::size_t i = from / 64; i < words_.size() && count > 0; i++) {
            std::uint64_t word = words_[i];
            if (i == from / 64)
                word &= ~std::uint64_t{0} << (from % 64);
            for (; word && count > 0; word &= word - 1, count--)
                members.push_back(i * 64 + static_cast<unsigned>(std::countr_zero(word)));
        }
    }
    std::span<std::uint64_t> words() { return words_; }
    std::span<const std::uint64_t> words() const { return words_; }

  private:
    std::vector<std::uint64_t> words_;
    Pfn limit_;
};

} // namespace ckpt
