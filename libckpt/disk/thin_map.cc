// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/thin_map.hh"

#include <algorithm>
#include <charconv>
#include <optional>

namespace ckpt {

namespace {

using Kind = DiskExtent::Kind;
constexpr std::uint64_t kSector = 512;

// One tag of the tools' plain XML: no text, no entities, no nesting that matters.
struct Tag {
    std::string_view name, attributes;

    std::optional<std::uint64_t> number(std::string_view key) const {
        for (std::size_t at = 0; (at = attributes.find(key, at)) != attributes.npos; at++) {
            const std::size_t value = at + key.size() + 2;
            if (at == 0 || attributes[at - 1] != ' ' || attributes.substr(at + key.size(), 2) != "=\"")
                continue;
            std::uint64_t number = 0;
            const char *begin = attributes.data() + value, *end = attributes.data() + attributes.size();
            if (auto [stop, error] = std::from_chars(begin, end, number); error == std::errc())
                return number;
            return std::nullopt;
        }
        return std::nullopt;
    }
};

std::optional<Tag> next_tag(std::string_view &xml) {
    const std::size_t begin = xml.find('<');
    const std::size_t end = xml.find('>', begin);
    if (begin == xml.npos || end == xml.npos)
        return std::nullopt;
    const std::string_view body = xml.substr(begin + 1, end - begin - 1);
    xml.remove_prefix(end + 1);
    const std::size_t name = std::min(body.find(' '), body.size());
    return Tag{body.substr(0, name), body.substr(name)};
}

class Extents {
  public:
    explicit Extents(std::uint64_t bytes) : bytes_(bytes) {}

    // In the pool's blocks; neighbours of one kind become one extent.
    void add(std::uint64_t begin, std::uint64_t length, Kind kind) {
        const std::uint64_t from = begin * block_, to = std::min((begin + length) * block_, bytes_);
        if (from >= to)
            return;
        if (!list_.empty() && list_.back().kind == kind &&
            list_.back().begin + list_.back().length == from)
            list_.back().length += to - from;
        else
            list_.push_back({from, to - from, kind});
    }
    void set_block(std::uint64_t bytes) { block_ = bytes; }
    bool ready() const { return block_ != 0; }
    DiskExtents take() { return std::move(list_); }

  private:
    const std::uint64_t bytes_;
    std::uint64_t block_ = 0;
    DiskExtents list_;
};

tl::unexpected<Error> bad(std::string_view tool, std::string_view what) {
    return fail(EBADMSG, "{}: {}", tool, what);
}

// Calls `take` for each tag behind the superblock's; it says whether the tag is
// one that it knows how to read.
template <typename Take>
Result<DiskExtents> parse(std::string_view tool, std::string_view xml, std::uint64_t bytes,
                          Take &&take) {
    Extents extents(bytes);
    bool ended = false;
    while (auto tag = next_tag(xml)) {
        if (tag->name == "superblock") {
            const auto block = tag->number("data_block_size");
            if (!block || *block == 0)
                return bad(tool, "it does not tell the size of a block");
            extents.set_block(*block * kSector);
        } else if (tag->name == "/superblock") {
            ended = true;
        } else if (!extents.ready() || !take(*tag, extents)) {
            return bad(tool, fmt::format("not understood: <{}{}>", tag->name, tag->attributes));
        }
    }
    if (!ended)
        return bad(tool, "its output is cut short");
    return extents.take();
}

bool take_range(const Tag &tag, const char *begin, Kind kind, Extents &extents) {
    const auto from = tag.number(begin), length = tag.number("length");
    if (from && length)
        extents.add(*from, *length, kind);
    return from && length;
}

} // namespace

Result<DiskExtents> parse_thin_delta(std::string_view xml, std::uint64_t bytes) {
    return parse("thin_delta", xml, bytes, [](const Tag &tag, Extents &extents) {
        if (tag.name == "diff" || tag.name == "/diff" || tag.name == "same")
            return true;
        if (tag.name == "different")
            return take_range(tag, "begin", Kind::changed, extents);
        if (tag.name == "right_only")
            return take_range(tag, "begin", Kind::fresh, extents);
        return tag.name == "left_only" && take_range(tag, "begin", Kind::discarded, extents);
    });
}

Result<DiskExtents> parse_thin_dump(std::string_view xml, std::uint64_t bytes) {
    return parse("thin_dump", xml, bytes, [](const Tag &tag, Extents &extents) {
        if (tag.name == "device" || tag.name == "/device")
            return true;
        if (tag.name == "range_mapping")
            return take_range(tag, "origin_begin", Kind::fresh, extents);
        const auto block = tag.number("origin_block");
        if (tag.name != "single_mapping" || !block)
            return false;
        extents.add(*block, 1, Kind::fresh);
        return true;
    });
}

} // namespace ckpt
