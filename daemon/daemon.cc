// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/daemon.hh"

#include <csignal>

#include <systemd/sd-daemon.h>

#include "daemon/control/version.hh"
#include "daemon/control_server.hh"
#include "daemon/disk_settings.hh"
#include "daemon/event_loop.hh"
#include "daemon/node_level.hh"
#include "daemon/node_state.hh"
#include "daemon/process_guests.hh"
#include "daemon/requests.hh"
#include "daemon/run_lock.hh"
#include "daemon/system/system_level.hh"
#include "libckpt/disk/disk_providers.hh"
#include "libckpt/disk/qcow2_provider.hh"
#include "libckpt/disk/thin_provider.hh"
#include "libckpt/node/resume_guard.hh"
#include "libckpt/vm/xen_backend.hh"

namespace ckpt {

namespace {

Result<std::unique_ptr<GuestBackend>> open_backend(const Config &config) {
    if (config.backend == "process")
        return start_process_guests(config);
    auto backend = open_xen_backend();
    if (!backend && backend.error().is(ENODEV))
        return wrap("not running under Xen; boot this host with the hypervisor", backend.error());
    if (!backend && backend.error().is(EPERM))
        return wrap("not root; tlckptd has to be", backend.error());
    return backend;
}

// A host where this program can't do its work leaves no trace of it.
Status check_host(const Config &config) {
    if (config.backend == "xen")
        CKPT_TRY(open_backend(config)).reset();
    return {};
}

// Guests inside this process need none: they go with it.
Result<std::unique_ptr<ResumeGuard>> start_guard(const Config &config, Logger &logger) {
    if (config.backend != "xen")
        return nullptr;
    return ResumeGuard::start([&logger](std::span<const Uuid> guests) -> Status {
        auto backend = CKPT_TRY(open_xen_backend());
        const unsigned resumed = CKPT_TRY(backend->recover(guests));
        logger.warning("tlckptd died in a checkpoint: {} guest(s) of {} were suspended and run on",
                       resumed, guests.size());
        return {};
    });
}

Result<std::unique_ptr<PageArena>> make_arena(const Config &config, Logger &logger) {
    auto slots = config.staging_mib * 1024 * 1024 / PageBatch::kSlotBytes;
    auto arena = CKPT_TRY(PageArena::create(static_cast<unsigned>(slots)));
    if (!arena->locked())
        logger.warning("staging memory is not locked (LimitMEMLOCK): pauses may wait for pages");
    return arena;
}

Result<std::unique_ptr<DiskProvider>> open_disks(const Config &config, Logger &logger) {
    if (config.backend != "xen")
        return nullptr;
    const RoomLimits room{static_cast<unsigned>(config.disks_warn_percent),
                          static_cast<unsigned>(config.disks_refuse_percent)};
    auto thin = CKPT_TRY(open_thin_provider({.state_directory = config.state_directory,
                                             .pool = config.disks_pool,
                                             .held = static_cast<unsigned>(config.disks_held),
                                             .room = room},
                                            logger));
    return join_providers(std::move(thin),
                          open_qcow2_provider({config.disks_directory, room}, logger));
}

Result<std::unique_ptr<PageStore>> open_store(const Config &config, PageArena &arena,
                                              Logger &logger,
                                              std::optional<std::uint32_t> incarnation) {
    StoreOptions options;
    options.directory = config.store_directory;
    options.node = config.node;
    options.incarnation = incarnation;
    options.arena = &arena;
    options.logger = &logger;
    options.create = true;
    auto store = PageStore::open(options);
    if (!store)
        return wrap(fmt::format("store {}", config.store_directory), store.error());
    return store;
}

} // namespace

// Each object outlives those made after it.
Status run_daemon(const Config &config, Logger &logger) {
    CKPT_CHECK(check_host(config));
    // Early, so that the guard holds nothing of ours but the lock.
    auto lock = CKPT_TRY(take_run_lock(config.state_directory));
    auto guard = CKPT_TRY(start_guard(config, logger));

    block_signals();
    auto loop = CKPT_TRY(EventLoop::create());
    CKPT_CHECK(loop->feed_watchdog());
    auto end = [&] { loop->exit(0); };
    auto sigterm = CKPT_TRY(loop->add_signal(SIGTERM, end));
    auto sigint = CKPT_TRY(loop->add_signal(SIGINT, end));

    auto backend = CKPT_TRY(open_backend(config));
    auto state = CKPT_TRY(NodeState::load(config.state_directory));
    auto arena = CKPT_TRY(make_arena(config, logger));
    auto disks = CKPT_TRY(open_disks(config, logger));
    std::unique_ptr<SystemLevel> system;
    if (config.cluster.node_id)
        system = CKPT_TRY(SystemLevel::create({*loop, logger, config, disks.get()}));
    auto store = CKPT_TRY(open_store(config, *arena, logger,
                                     system ? system->store_incarnation() : std::nullopt));
    auto node = CKPT_TRY(NodeLevel::create(
        {*loop, logger, *backend, *store, *arena, state, guard.get(), config, system.get(),
         disk_settings(config, disks.get())}));
    auto server = CKPT_TRY(ControlServer::create(*loop, logger, config.socket));
    handle_requests(*server, {*node, *store, *backend, config, wall_clock_ns(), system.get(),
                              disks.get()});
    if (system)
        CKPT_CHECK(system->start(*node, *store));

    logger.info("tlckptd {} on node {}, {}, store {}", control::kVersion, config.node,
                backend->name(), config.store_directory);
    ::sd_notify(0, "READY=1");
    loop->run();
    ::sd_notify(0, "STOPPING=1");
    node->abandon_waiters();
    node->stop();
    if (system)
        system->finish();
    if (system && system->verdict())
        return tl::unexpected(*system->verdict());
    return {};
}

} // namespace ckpt
