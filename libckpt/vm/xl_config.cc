// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xl_config.hh"

#include <string>
#include <string_view>

namespace ckpt::xen {
namespace {

constexpr std::string_view kBuildInfo = "\"b_info\"", kTarget = "\"target_memkb\"";
constexpr std::string_view kSpace = " \t\r\n";

// Where the value of `key` begins; npos if it is not there.
std::size_t value_of(std::string_view text, std::string_view key) {
    std::size_t at = text.find(key);
    if (at == text.npos)
        return at;
    at = text.find_first_not_of(kSpace, at + key.size());
    return at == text.npos || text[at] != ':' ? text.npos : text.find_first_not_of(kSpace, at + 1);
}

} // namespace

Status set_memory_target(std::vector<std::byte> &configuration, std::uint64_t kib) {
    const std::string_view text(reinterpret_cast<const char *>(configuration.data()),
                                configuration.size());
    const std::size_t info = value_of(text, kBuildInfo);
    if (info == text.npos || text[info] != '{')
        return fail(EPROTO, "the guest's configuration is not one of libxl");
    std::string value = fmt::format("{}", kib);
    std::size_t begin = value_of(text, kTarget), end;
    if (begin != text.npos) {
        end = text.find_first_not_of("0123456789", begin);
    } else { // libxl leaves out what is as by default
        begin = end = info + 1;
        value = fmt::format("{}: {},", kTarget, kib);
    }
    if (end == text.npos)
        return fail(EPROTO, "the guest's configuration is cut off");
    const auto *bytes = reinterpret_cast<const std::byte *>(value.data());
    const auto at = [&](std::size_t place) {
        return configuration.begin() + static_cast<std::ptrdiff_t>(place);
    };
    configuration.erase(at(begin), at(end));
    configuration.insert(at(begin), bytes, bytes + value.size());
    return {};
}

} // namespace ckpt::xen
