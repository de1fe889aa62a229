// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/disk_provider.hh"

namespace ckpt {

Uuid disk_uuid(const Uuid &guest, std::uint32_t number) {
    Uuid uuid = guest;
    uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x80);
    for (unsigned i = 0; i < 4; i++)
        uuid.bytes[12 + i] ^= static_cast<std::uint8_t>(number >> (8 * (3 - i)));
    return uuid;
}

Result<DiskKind> judge_disk(const DiskSettings &settings, const GuestInfo &guest,
                            const DiskInfo &disk) {
    if (disk.read_only)
        return DiskKind::read_only;
    if (settings.excluded && settings.excluded(guest, disk))
        return DiskKind::excluded;
    const std::string refusal =
        settings.provider ? settings.provider->refusal(disk) : "nothing here takes snapshots";
    if (!refusal.empty())
        return fail(EOPNOTSUPP, "disk {} ({}): {}", disk.name, disk.target, refusal);
    return DiskKind::captured;
}

} // namespace ckpt
