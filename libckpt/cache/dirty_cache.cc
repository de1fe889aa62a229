// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/cache/dirty_cache.hh"

namespace ckpt {

void DirtyCache::round(const PageSet &dirtied, PageSet &replaced) {
    pages_.merge(dirtied);
    size_ = pages_.count();
    policy_->note_round(dirtied);
    if (size_ > limits_.target_pages)
        size_ -=
            policy_->replace(pages_, size_ - limits_.target_pages, limits_.idle_rounds, replaced);
    shrink(limits_.max_pages, replaced);
}

void DirtyCache::shrink(std::uint64_t count, PageSet &replaced) {
    for (unsigned idle = limits_.idle_rounds; size_ > count; idle /= 2)
        size_ -= policy_->replace(pages_, size_ - count, idle, replaced);
}

void DirtyCache::shrink_idle(std::uint64_t count, PageSet &replaced) {
    if (size_ > count)
        size_ -= policy_->replace(pages_, size_ - count, 1, replaced);
}

} // namespace ckpt
