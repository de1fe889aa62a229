// SPDX-License-Identifier: GPL-2.0-only
// Reads stored pages in the order they lie in.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "libckpt/base/result.hh"
#include "libckpt/store/guest_files.hh"
#include "libckpt/store/index_run.hh"

namespace ckpt {

// Sorts by place: segment, block.
void sort_by_place(RunEntries &entries);

// `entries` are sorted by place and all have stored contents. Calls `visit`
// with up to 256 of them at a time and their contents, checked. EBADMSG names
// file, offset and page.
using PagesVisit = std::function<Status(std::span<const tlckpt_run_entry> entries,
                                        std::span<const std::byte *const> contents)>;
Status read_pages(const GuestFiles &files, std::span<const tlckpt_run_entry> entries,
                  const PagesVisit &visit);

} // namespace ckpt
