// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/restore.hh"

#include <algorithm>

#include "daemon/put_back.hh"
#include "daemon/xl.hh"
#include "libckpt/restore/restore_stream.hh"
#include "libckpt/store/channel_log.hh"

namespace ckpt {

namespace {

using control::Json;
using Entries = std::vector<GuestEntry>;

struct Restoration {
    PageStore &store;
    DiskProvider *disks;
    Call &call;
    control::RestoreRequest request;
    std::vector<GuestInfo> running; // all guests of the node, as the request came
};

// The guests of the checkpoint that are asked for.
tl::expected<Entries, Refused> chosen(const Restoration &restore, const Manifest &manifest) {
    const std::string &wanted = restore.request.guest;
    Entries entries;
    std::string names;
    for (const GuestEntry &entry : manifest.guests) {
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
    return control::RestoredGuest{entry.uuid.to_string(), entry.name, bytes, {}};
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

std::string disk_text(const PutBackDisk &disk) {
    return fmt::format("{} on {}, {}", disk.name, disk.volume.path,
                       disk.volume.filled
                           ? "from its snapshot"
                           : fmt::format("{} bytes from the store", disk.bytes_read));
}

control::RestoredGuest report(const GuestEntry &entry, const PutBackGuest &back) {
    control::RestoredGuest restored{entry.uuid.to_string(), entry.name, back.bytes, {}};
    for (const PutBackDisk &disk : back.disks)
        restored.disks.push_back(disk_text(disk));
    return restored;
}

// All of them or none: they stay paused until the last one is there, and then
// run on together, as they were suspended together.
Reply by_xl(const Restoration &restore, const Manifest &manifest, const Entries &entries) {
    if (auto absent = check_absent(restore, entries); !absent)
        return tl::unexpected(absent.error());
    std::vector<PutBackGuest> backs;
    control::RestoreReply reply{restore.request.sn, {}};
    for (const GuestEntry &entry : entries) {
        auto back = put_back(restore.store, restore.disks, manifest, entry,
                             [&](std::uint64_t done, std::uint64_t total) {
                                 return restore.call.progress("restoring " + entry.name, done, total);
                             });
        if (back) {
            reply.guests.push_back(report(entry, *back));
            backs.push_back(std::move(*back));
            continue;
        }
        for (std::size_t i = 0; i < backs.size(); i++) {
            [[maybe_unused]] auto gone = run_xl({"destroy", reply.guests[i].name});
            drop_disks(restore.disks, backs[i]);
        }
        // xl's own words say more than an errno.
        const Error &error = back.error();
        return refuse(error.code.value(), "guest {}: {}; nothing restored", entry.name,
                      error.is(ECHILD) ? error.context : error.message());
    }
    std::vector<std::string> names;
    for (const auto &restored : reply.guests)
        names.push_back(restored.name);
    if (auto done = run_on(names); !done)
        return refuse(done.error());
    return Json(reply);
}

// Rule R12, for what concerns these guests alone: frames between them. What came from
// other nodes belongs to their past, which stays where it is.
Result<std::vector<ChannelFrame>> in_transit(const std::string &directory, const std::string &node,
                                             Sn sn) {
    auto frames = CKPT_TRY(read_channel(directory, node, sn));
    std::erase_if(frames, [](const ChannelFrame &frame) { return frame.peer != 0; });
    return frames;
}

// Control thread. What is damaged of com is packet loss to guests that run already.
Reply with_replay(SystemLevel &system, const Config &config, Reply reply) {
    if (!reply)
        return reply;
    auto restored = reply->get<control::RestoreReply>();
    auto frames = in_transit(config.store_directory, config.node, restored.sn);
    if (!frames)
        return refuse(frames.error().code.value(),
                      "the guests run; frames in transit at checkpoint {} are lost: {}", restored.sn,
                      frames.error().message());
    restored.lost = system.replay(*frames);
    restored.replayed = frames->size() - restored.lost;
    return Json(restored);
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
        std::function<Reply(Reply)> finish;
        if (context.system && request->guest.empty() && !request->to_file)
            finish = [system = context.system, &config = context.config](Reply reply) {
                return with_replay(*system, config, std::move(reply));
            };
        server.run(std::move(call), [&store = context.store, disks = context.disks, pin = context.node.pin(request->sn),
                                     request = std::move(*request),
                                     running = std::move(*running)](Call &ran) -> Reply {
            Restoration restore{store, disks, ran, request, running};
            auto manifest = store.manifest(request.sn);
            if (!manifest)
                return manifest.error().is(ENOENT) ? refuse_sn(store, request.sn)
                                                   : refuse(manifest.error());
            auto entries = chosen(restore, *manifest);
            if (!entries)
                return tl::unexpected(entries.error());
            return request.to_file ? to_descriptor(restore, *entries, ran.take_passed())
                                   : by_xl(restore, *manifest, *entries);
        }, finish);
    });
}

} // namespace ckpt
