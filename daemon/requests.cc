// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/requests.hh"

#include <unistd.h>

#include "daemon/control/version.hh"
#include "daemon/pre_flight.hh"
#include "daemon/report.hh"
#include "daemon/restore.hh"

namespace ckpt {

namespace {

using control::Json;
using CallPtr = std::shared_ptr<Call>;

Result<control::Store> store_report(PageStore &store, const Config &config) {
    auto usage = CKPT_TRY(store.usage());
    auto all = CKPT_TRY(store.list());
    return control::Store{.directory = config.store_directory,
                          .bytes = usage.bytes,
                          .free_bytes = usage.free_bytes,
                          .checkpoints = all.size(),
                          .oldest_sn = all.empty() ? 0 : all.front().sn,
                          .newest_sn = all.empty() ? 0 : all.back().sn,
                          .keep = config.keep};
}

void status(ControlServer &server, const RequestContext &context, CallPtr call) {
    control::StatusReply reply;
    reply.version = control::kVersion;
    reply.node = context.config.node;
    reply.backend = context.backend.name();
    reply.pid = ::getpid();
    reply.started_wall_ns = context.started_wall_ns;
    reply.period_ms = context.config.period_ms;
    context.node.fill(reply);
    if (context.system)
        reply.cluster = context.system->status();
    auto guests = context.node.guests();
    if (!guests)
        return call->answer(refuse(guests.error()));
    reply.guests = std::move(*guests);
    server.run(std::move(call), [reply, context](Call &) mutable -> Reply {
        auto store = store_report(context.store, context.config);
        if (!store)
            return refuse(store.error());
        reply.store = std::move(*store);
        return Json(reply);
    });
}

void guests(const RequestContext &context, CallPtr call) {
    auto found = context.node.guests();
    call->answer(found ? Reply(Json(control::GuestsReply{std::move(*found)}))
                       : refuse(found.error()));
}

void checkpoint(const RequestContext &context, CallPtr call) {
    auto request = arguments<control::CheckpointRequest>(*call);
    if (!request)
        return;
    auto sn = context.node.checkpoint(request->wait ? call : nullptr);
    if (!sn && sn.error().is(ENOENT))
        call->answer(refuse(ENOENT, "no guest is protected (tlckptctl guest list says why)"));
    else if (!sn)
        call->answer(refuse(sn.error()));
    else if (!request->wait)
        call->answer(Json(control::Requested{*sn}));
}

Reply list(PageStore &store, const control::ListRequest &request) {
    auto all = store.list();
    if (!all)
        return refuse(all.error());
    std::size_t first = request.last && request.last < all->size() ? all->size() - request.last : 0;
    control::ListReply reply;
    for (std::size_t i = first; i < all->size(); i++)
        reply.checkpoints.push_back(report((*all)[i]));
    return Json(reply);
}

Reply show(PageStore &store, const Config &config, Sn sn) {
    auto manifest = store.manifest(sn);
    if (!manifest)
        return manifest.error().is(ENOENT) ? refuse_sn(store, sn) : refuse(manifest.error());
    auto com = read_channel(config.store_directory, config.node, sn);
    if (!com)
        return refuse(com.error());
    control::Checkpoint checkpoint = report(*manifest);
    for (const ChannelFrame &frame : *com) {
        checkpoint.com_frames++;
        checkpoint.com_local += frame.peer == 0;
        checkpoint.com_bytes += frame.bytes.size();
    }
    return Json(checkpoint);
}

Reply verify(PageStore &store, Call &call) {
    auto found = store.verify([&](std::uint64_t done, std::uint64_t total) {
        return call.progress("verifying", done, total);
    });
    if (!found)
        return refuse(found.error());
    return Json(report(*found));
}

Reply gc(const std::function<Result<GcReport>(bool)> &collect, bool dry_run) {
    auto done = collect(dry_run);
    if (!done)
        return refuse(done.error());
    return Json(report(*done, dry_run));
}

// A recovery as it would be, or one that begins.
void recovery(const RequestContext &context, CallPtr call, bool begin) {
    if (!context.system)
        return call->answer(refuse(EOPNOTSUPP, "this node is alone: its configuration has no [cluster]"));
    if (begin) {
        auto begun = context.system->recover();
        return call->answer(begun ? Reply(Json(context.system->status()))
                                  : refuse(begun.error().code.value(), "{}", begun.error().context));
    }
    auto request = arguments<control::PlanRequest>(*call);
    if (!request)
        return;
    auto plan = context.system->plan(request->lost);
    call->answer(plan ? Reply(Json(*plan))
                      : refuse(plan.error().code.value(), "{}", plan.error().context));
}

} // namespace

tl::unexpected<Refused> refuse_sn(PageStore &store, Sn sn) {
    auto all = store.list();
    if (!all)
        return refuse(all.error());
    if (all->empty())
        return refuse(ENOENT, "no checkpoint {}: the store has none yet", sn);
    return refuse(ENOENT, "no checkpoint {}: the store has {}, from {} to {} (tlckptctl list)", sn,
                  all->size(), all->front().sn, all->back().sn);
}

void handle_requests(ControlServer &server, const RequestContext &context) {
    PageStore &store = context.store;
    server.handle(control::kStatus, [&server, context](CallPtr call) {
        status(server, context, std::move(call));
    });
    server.handle(control::kGuests, [context](CallPtr call) { guests(context, std::move(call)); });
    server.handle(control::kCheckpoint,
                  [context](CallPtr call) { checkpoint(context, std::move(call)); });
    server.handle(control::kList, [&server, &store](CallPtr call) {
        if (auto request = arguments<control::ListRequest>(*call))
            server.run(std::move(call), [&store, request](Call &) { return list(store, *request); });
    });
    server.handle(control::kShow, [&server, context](CallPtr call) {
        if (auto request = arguments<control::ShowRequest>(*call))
            server.run(std::move(call), [context, request](Call &) {
                return show(context.store, context.config, request->sn);
            });
    });
    handle_restore(server, context);
    handle_doctor(server, context);
    server.handle(control::kPlan,
                  [context](CallPtr call) { recovery(context, std::move(call), false); });
    server.handle(control::kRecover,
                  [context](CallPtr call) { recovery(context, std::move(call), true); });
    server.handle(control::kVerify, [&server, &store](CallPtr call) {
        server.run(std::move(call), [&store](Call &running) { return verify(store, running); });
    });
    server.handle(control::kGc, [&server, context](CallPtr call) {
        if (auto request = arguments<control::GcRequest>(*call))
            server.run(std::move(call), [collect = context.node.collection(), request](Call &) {
                return gc(collect, request->dry_run);
            });
    });
}

} // namespace ckpt
