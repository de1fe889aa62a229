// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/put_back.hh"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "daemon/xl.hh"
#include "libckpt/base/fd.hh"
#include "libckpt/restore/disk_image.hh"
#include "libckpt/restore/restore_stream.hh"

namespace ckpt {

namespace {

// A device's name may have these only, and no file's has a slash.
std::string volume_name(const std::string &text) {
    std::string name;
    for (unsigned char c : text.substr(0, 100))
        name += std::isalnum(c) || c == '-' || c == '_' || c == '.' ? static_cast<char>(c) : '_';
    return name;
}

Result<PutBackDisk> put_back_disk(PageStore &store, DiskProvider &provider,
                                  const Manifest &manifest, const DiskEntry &disk,
                                  const std::string &guest, const Progress &progress) {
    PutBackDisk back;
    back.name = disk.name;
    back.volume = CKPT_TRY(provider.make_volume(
        disk, {manifest.sn, manifest.cut_wall_ns},
        volume_name(fmt::format("tlckpt-{}-{}-{}", guest, disk.name, manifest.sn))));
    if (back.volume.filled)
        return back;
    auto fill = [&]() -> Status {
        auto image = CKPT_TRY(store.open_image(manifest.sn, disk.uuid));
        const std::string &path = back.volume.fill_path.empty() ? back.volume.path : back.volume.fill_path;
        Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        if (!fd)
            return fail(errno, "{}", path);
        back.bytes_read = CKPT_TRY(write_disk_image(*image, disk.bytes, back.volume.zero_bytes,
                                                    fd.get(), progress));
        return provider.finish_volume(back.volume);
    };
    if (auto filled = fill(); !filled) {
        provider.drop_volume(back.volume);
        return tl::unexpected(filled.error());
    }
    return back;
}

Status put_back_disks(PageStore &store, DiskProvider *provider, const Manifest &manifest,
                      const GuestEntry &guest, const Progress &progress, PutBackGuest &back) {
    for (const DiskEntry &disk : manifest.disks) {
        if (disk.guest != guest.uuid || disk.kind != DiskKind::captured)
            continue;
        if (!provider)
            return fail(EOPNOTSUPP, "disk {}: nothing here can make a volume for it", disk.name);
        auto one = put_back_disk(store, *provider, manifest, disk, guest.name, progress);
        if (!one)
            return wrap(fmt::format("disk {}", disk.name), one.error());
        back.disks.push_back(std::move(*one));
    }
    return {};
}

// By xl, which says more than that it stopped reading.
Status put_back_memory(ImageReader &image, const std::vector<std::byte> &configuration,
                       const Progress &progress, std::uint64_t &bytes) {
    Status written;
    auto done = run_xl({"restore", "-p", "/proc/self/fd/0"}, [&](int fd) {
        written = write_restore_stream(image, configuration, fd, [&](auto part, auto total) {
            bytes = part;
            return !progress || progress(part, total);
        });
        return written;
    });
    return done || written || written.error().is(EPIPE) ? done : written;
}

} // namespace

Result<std::vector<std::byte>> with_disks(const std::vector<std::byte> &configuration,
                                          const std::vector<PutBackDisk> &disks) {
    using Json = nlohmann::ordered_json;
    if (disks.empty())
        return configuration;
    const auto *text = reinterpret_cast<const char *>(configuration.data());
    Json json = Json::parse(text, text + configuration.size(), nullptr, false);
    if (!json.is_object() || !json.contains("disks") || !json["disks"].is_array())
        return fail(EPROTO, "the guest's configuration is not one of libxl, or has no disks");
    for (const PutBackDisk &disk : disks) {
        auto found = std::ranges::find_if(json["disks"], [&](const Json &one) {
            return one.is_object() && one.contains("vdev") && one["vdev"] == disk.name;
        });
        if (found == json["disks"].end())
            return fail(EPROTO, "the guest's configuration has no disk {}", disk.name);
        (*found)["pdev_path"] = disk.volume.path;
    }
    const std::string changed = json.dump(4, ' ', false, Json::error_handler_t::replace);
    const auto *bytes = reinterpret_cast<const std::byte *>(changed.data());
    return std::vector<std::byte>(bytes, bytes + changed.size());
}

Result<PutBackGuest> put_back(PageStore &store, DiskProvider *disks, const Manifest &manifest,
                              const GuestEntry &guest, const Progress &progress) {
    PutBackGuest back;
    auto work = [&]() -> Status {
        auto image = CKPT_TRY(store.open_image(manifest.sn, guest.uuid));
        CKPT_CHECK(put_back_disks(store, disks, manifest, guest, progress, back));
        const auto configuration = CKPT_TRY(with_disks(image->state().config, back.disks));
        return put_back_memory(*image, configuration, progress, back.bytes);
    };
    if (auto done = work(); !done) {
        drop_disks(disks, back);
        return tl::unexpected(done.error());
    }
    return back;
}

// Until every guest's interface has its other end again, or it takes too long.
static void wait_for_vifs() {
    for (int tries = 0; tries < 100; tries++) {
        bool all = true;
        std::error_code error;
        for (const auto &device : std::filesystem::directory_iterator("/sys/class/net", error)) {
            if (!device.path().filename().string().starts_with("vif"))
                continue;
            std::ifstream carrier(device.path() / "carrier");
            int up = 0;
            all = all && carrier >> up && up == 1;
        }
        if (all)
            return;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

Status run_on(const std::vector<std::string> &names) {
    Status first;
    for (const std::string &name : names)
        if (auto done = run_xl({"unpause", name}); !done && first)
            first = tl::unexpected(done.error());
    wait_for_vifs();
    return first;
}

void drop_disks(DiskProvider *disks, const PutBackGuest &guest) {
    for (const PutBackDisk &disk : guest.disks)
        disks->drop_volume(disk.volume);
}

} // namespace ckpt
