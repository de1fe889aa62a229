// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/restore.hh"

#include <algorithm>

#include "daemon/xl.hh"
#include "libckpt/restore/restore_stream.hh"

namespace ckpt {

namespace {

using control::Json;
using Entries = std::vector<GuestEntry>;

struct Restoration {
    PageStore &store;
    Call &call;
    control::RestoreRequest request;
    std::vector<GuestInfo> running; // all guests of the node, as the request came
};

// The guests of the checkpoint that are asked for.
tl::expected<Entries, Refused> chosen(const Restoration &restore) {
    auto manifest = restore.store.manifest(restore.request.sn);
    if (!manifest)
        return manifest.error().is(ENOENT) ? refuse_sn(restore.store, restore.request.sn)
                                           : refuse(manifest.error());
    const std::string &wanted = restore.request.guest;
    Entries entries;
    std::string names;
    for (const GuestEntry &entry : manifest->guests) {
        names += (names.empty() ? "" : ", ") + entry.name;
        if (wanted.empty() || wanted == entry.name || wanted == entry.uuid.to_string())
            entries.push_back(entry);
    }
    if (entries.empty())
        return refuse(ENOENT, "checkpoint {} has no guest {}: it has {}", restore.request.sn,
                      wanted, names);
    if (restore.request.to_file && entries.size() > 1)
        return refuse(EINVAL, "one file takes one guest of checkpoint {}; choose by --guest: {}",
                      restore.request.sn, names);
    return entries;
}

tl::expected<control::RestoredGuest, Refused> write_stream(const Restoration &restore,
                                                           const GuestEntry &entry, int fd) {
    auto image = restore.store.open_image(restore.request.sn, entry.uuid);
    if (!image)
        return refuse(image.error());
    std::uint64_t bytes = 0;
    auto written = write_restore_stream(**image, fd, [&](std::uint64_t done, std::uint64_t total) {
        bytes = done;
        return restore.call.progress("restoring " + entry.name, done, total);
    });
    if (!written)
        return refuse(written.error());
    return control::RestoredGuest{entry.uuid.to_string(), entry.name, bytes};
}

tl::expected<void, Refused> check_absent(const Restoration &restore, const Entries &entries) {
    for (const GuestEntry &entry : entries) {
        if (entry.kind == GuestKind::process)
            return refuse(EOPNOTSUPP,
                          "guest {} lives inside the daemon, xl can't restore it; use --to FILE",
                          entry.name);
        auto there = std::ranges::find_if(restore.running, [&](const GuestInfo &info) {
            return info.state != RunState::dying &&
                   (info.uuid == entry.uuid || info.name == entry.name);
        });
        if (there != restore.running.end())
            return refuse(EEXIST,
                          "guest {} is still there (domain {}): nothing restored; if its present "
                          "state may be lost, `xl destroy {}` first",
                          there->name, there->domid, there->domid);
    }
    return {};
}

tl::expected<control::RestoredGuest, Refused> start_paused(const Restoration &restore,
                                                           const GuestEntry &entry) {
    tl::expected<control::RestoredGuest, Refused> written;
    auto done = run_xl({"restore", "-p", "/proc/self/fd/0"}, [&](int fd) -> Status {
        written = write_stream(restore, entry, fd);
        return written ? Status() : fail(written.error().code, "{}", entry.name);
    });
    if (done || !written) {
        // xl's own words say more than that it stopped reading.
        if (done || written.error().code != EPIPE)
            return written;
    }
    return refuse(done.error().code.value(), "{}", done.error().context);
}

// All of them or none: they stay paused until the last one is there, and then
// run on together, as they were suspended together.
Reply by_xl(const Restoration &restore, const Entries &entries) {
    if (auto absent = check_absent(restore, entries); !absent)
        return tl::unexpected(absent.error());
    control::RestoreReply reply{restore.request.sn, {}};
    for (const GuestEntry &entry : entries) {
        auto restored = start_paused(restore, entry);
        if (restored) {
            reply.guests.push_back(*restored);
            continue;
        }
        for (const auto &other : reply.guests)
            [[maybe_unused]] auto gone = run_xl({"destroy", other.name});
        return refuse(restored.error().code, "guest {}: {}; nothing restored", entry.name,
                      restored.error().message);
    }
    for (const auto &restored : reply.guests)
        if (auto done = run_xl({"unpause", restored.name}); !done)
            return refuse(done.error());
    return Json(reply);
}

Reply to_descriptor(const Restoration &restore, const Entries &entries, Fd fd) {
    if (!fd)
        return refuse(EBADF, "no descriptor came with the request");
    auto written = write_stream(restore, entries[0], fd.get());
    if (!written)
        return tl::unexpected(written.error());
    return Json(control::RestoreReply{restore.request.sn, {*written}});
}

} // namespace

void handle_restore(ControlServer &server, const RequestContext &context) {
    server.handle(control::kRestore, [&server, context](std::shared_ptr<Call> call) {
        auto request = arguments<control::RestoreRequest>(*call);
        if (!request)
            return;
        auto running = context.backend.list();
        if (!running)
            return call->answer(refuse(running.error()));
        server.run(std::move(call), [&store = context.store, pin = context.node.pin(request->sn),
                                     request = std::move(*request),
                                     running = std::move(*running)](Call &ran) -> Reply {
            Restoration restore{store, ran, request, running};
            auto entries = chosen(restore);
            if (!entries)
                return tl::unexpected(entries.error());
            return request.to_file ? to_descriptor(restore, *entries, ran.take_passed())
                                   : by_xl(restore, *entries);
        });
    });
}

} // namespace ckpt
