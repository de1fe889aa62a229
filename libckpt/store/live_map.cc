// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/store/live_map.hh"

#include <algorithm>

#include "libckpt/store/record.hh"

namespace ckpt {

Result<LiveMap> LiveMap::of(const GuestFiles &files, const std::vector<ImageRef> &images) {
    LiveMap live;
    RunCache runs(files);
    for (const ImageRef &image : images) {
        live.add_image(CKPT_TRY(runs.image(image.storage.runs, image.pfn_limit)));
        live.add_state(image.storage.state);
    }
    return live;
}

void LiveMap::add(std::uint32_t segment, std::uint32_t block) {
    std::vector<bool> &blocks = segments_[segment];
    if (blocks.size() <= block)
        blocks.resize(block + 1);
    blocks[block] = true;
}

void LiveMap::add_image(const RunEntries &image) {
    for (const tlckpt_run_entry &entry : image)
        if (key_stored(entry.key))
            add(entry.segment, entry.block);
}

void LiveMap::add_state(const tlckpt_item_state &state) {
    for (std::uint32_t i = state.nr_blocks; i-- > 0;)
        add(state.segment, state.block + i);
}

std::vector<std::uint32_t> LiveMap::segments() const {
    std::vector<std::uint32_t> ids;
    for (const auto &[id, blocks] : segments_)
        ids.push_back(id);
    return ids;
}

bool LiveMap::contains(std::uint32_t segment, std::uint32_t block) const {
    const auto found = segments_.find(segment);
    return found != segments_.end() && block < found->second.size() && found->second[block];
}

std::uint64_t LiveMap::nr_blocks(std::uint32_t segment) const {
    const auto found = segments_.find(segment);
    return found == segments_.end()
               ? 0
               : static_cast<std::uint64_t>(std::ranges::count(found->second, true));
}

std::uint32_t LiveMap::end(std::uint32_t segment) const {
    const auto found = segments_.find(segment);
    return found == segments_.end() ? 0 : static_cast<std::uint32_t>(found->second.size());
}

std::vector<std::uint32_t> LiveMap::between(std::uint32_t segment, std::uint32_t from,
                                            std::uint32_t to) const {
    std::vector<std::uint32_t> blocks;
    for (std::uint32_t block = from; block < std::min(to, end(segment)); block++)
        if (contains(segment, block))
            blocks.push_back(block);
    return blocks;
}

} // namespace ckpt
