// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_examine.hh"

#include <algorithm>
#include <array>
#include <charconv>

namespace ckpt::xen {
namespace {

// Devices that need no line: what they have is memory, or made anew.
constexpr std::array<std::string_view, 4> kHarmless = {"vif", "vbd", "suspend", "console"};
constexpr std::uint64_t kBalloonSlackKib = 4096;

GuestNote suspend(const Xenstore &store, const GuestInfo &guest) {
    // Linux says what its control/shutdown handler takes.
    if (store.read(domain_path(guest.domid, "control/feature-suspend")) == "1")
        return {NoteKind::ok, "suspend", "its kernel takes suspend requests", ""};
    return {NoteKind::warn, "suspend", "its kernel has not said that it takes suspend requests",
            "if checkpoints fail for it: is it up, is its kernel built with CONFIG_XEN and "
            "CONFIG_PM_SLEEP?"};
}

GuestNote balloon(const Xenstore &store, const GuestInfo &guest) {
    const std::string text = store.read(domain_path(guest.domid, "memory/target")).value_or("");
    std::uint64_t target = 0;
    std::from_chars(text.data(), text.data() + text.size(), target);
    const std::uint64_t now = guest.nr_pages * (kPageSize / 1024);
    const std::uint64_t away = target > now ? target - now : now - target;
    if (target == 0 || away <= kBalloonSlackKib)
        return {NoteKind::ok, "balloon", fmt::format("at rest, {} MiB", now / 1024), ""};
    return {NoteKind::warn, "balloon",
            fmt::format("has {} MiB, its target is {} MiB", now / 1024, target / 1024),
            guest.kind == GuestKind::pvh
                ? "while it moves, each checkpoint is a full capture: let it come to rest"
                : "let it come to rest: pages that move are captured again"};
}

} // namespace

std::vector<GuestNote> examine(const Xenstore &store, const GuestInfo &guest) {
    std::vector<GuestNote> notes{suspend(store, guest), balloon(store, guest)};
    for (const std::string &device : store.children(domain_path(guest.domid, "device"))) {
        if (std::ranges::find(kHarmless, device) != kHarmless.end())
            continue;
        if (store.children(domain_path(guest.domid, ("device/" + device).c_str())).empty())
            continue;
        // What the probe refuses has its line already.
        if (device != "pci" && device != "vtpm")
            notes.push_back({NoteKind::warn, device,
                             "what its backend keeps is not captured; a restored guest gets it anew",
                             "detach it, if its state matters"});
    }
    return notes;
}

} // namespace ckpt::xen
