// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/device_mapper.hh"

#include <cstdarg>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include <libdevmapper.h>

namespace ckpt::dm {

namespace {

// The library's names of devices, and its semaphores, are for one thread at a
// time; plain ioctls are not.
std::shared_mutex g_library;

struct Destroyer {
    void operator()(dm_task *task) const { dm_task_destroy(task); }
};
using Task = std::unique_ptr<dm_task, Destroyer>;

// What the library says on its own is no news: errors come as errno.
void ignore(int, const char *, int, int, const char *, ...) {}

Result<Task> make_task(int type, const std::string &name) {
    static std::once_flag once;
    std::call_once(once, [] { dm_log_with_errno_init(ignore); });
    Task task(dm_task_create(type));
    if (!task || (!name.empty() && !dm_task_set_name(task.get(), name.c_str())))
        return fail(ENOMEM, "device-mapper {}", name);
    return task;
}

Status run(Task &task, const char *what, const std::string &name) {
    if (dm_task_run(task.get()))
        return {};
    const int error = dm_task_get_errno(task.get());
    return fail(error ? error : EIO, "device-mapper: {} {}", what, name);
}

Result<Device> query(Task task, const std::string &name) {
    CKPT_CHECK(run(task, "looking at", name));
    dm_info info{};
    if (!dm_task_get_info(task.get(), &info) || !info.exists)
        return fail(ENXIO, "device-mapper: no device {}", name);
    Device device;
    device.name = dm_task_get_name(task.get());
    device.major = info.major;
    device.minor = info.minor;
    device.open = info.open_count > 0;
    device.suspended = info.suspended != 0;
    std::uint64_t start = 0;
    char *type = nullptr, *params = nullptr;
    void *more = dm_get_next_target(task.get(), nullptr, &start, &device.sectors, &type, &params);
    if (!type || more || start)
        return fail(EXDEV, "device-mapper: {} has not exactly one target", device.name);
    device.target = type;
    device.params = params ? params : "";
    return device;
}

// A command without an effect on names.
Status plain(int type, const char *what, const std::string &name) {
    Task task = CKPT_TRY(make_task(type, name));
    dm_task_skip_lockfs(task.get());
    dm_task_set_read_ahead(task.get(), DM_READ_AHEAD_NONE, 0);
    return run(task, what, name);
}

// One whose name appears or goes: waits for udev, where there is one.
Status named(Task task, const char *what, const std::string &name, std::uint16_t flags) {
    std::unique_lock lock(g_library);
    std::uint32_t cookie = 0;
    if (!dm_task_set_cookie(task.get(), &cookie, flags))
        return fail(EIO, "device-mapper: {} {}: no semaphore for udev", what, name);
    const Status done = run(task, what, name);
    dm_udev_wait(cookie);
    dm_task_update_nodes();
    return done;
}

} // namespace

Result<Device> find(const std::string &name) {
    std::shared_lock lock(g_library);
    return query(CKPT_TRY(make_task(DM_DEVICE_TABLE, name)), name);
}

Result<Device> find(std::uint32_t major, std::uint32_t minor) {
    std::shared_lock lock(g_library);
    Task task = CKPT_TRY(make_task(DM_DEVICE_TABLE, ""));
    dm_task_set_major(task.get(), static_cast<int>(major));
    dm_task_set_minor(task.get(), static_cast<int>(minor));
    return query(std::move(task), fmt::format("{}:{}", major, minor));
}

Result<std::string> status(const std::string &name) {
    std::shared_lock lock(g_library);
    Task task = CKPT_TRY(make_task(DM_DEVICE_STATUS, name));
    dm_task_no_flush(task.get());
    return CKPT_TRY(query(std::move(task), name)).params;
}

Status suspend(const std::string &name) {
    std::shared_lock lock(g_library);
    return plain(DM_DEVICE_SUSPEND, "suspending", name);
}

Status resume(const std::string &name) {
    std::shared_lock lock(g_library);
    return plain(DM_DEVICE_RESUME, "resuming", name);
}

Status message(const std::string &name, const std::string &text) {
    std::shared_lock lock(g_library);
    Task task = CKPT_TRY(make_task(DM_DEVICE_TARGET_MSG, name));
    if (!dm_task_set_sector(task.get(), 0) || !dm_task_set_message(task.get(), text.c_str()))
        return fail(ENOMEM, "device-mapper {}", name);
    return run(task, text.c_str(), name);
}

Result<Device> create(const std::string &name, std::uint64_t sectors, const std::string &target,
                      const std::string &params, bool read_only) {
    Task task = CKPT_TRY(make_task(DM_DEVICE_CREATE, name));
    if (!dm_task_add_target(task.get(), 0, sectors, target.c_str(), params.c_str()) ||
        (read_only && !dm_task_set_ro(task.get())))
        return fail(ENOMEM, "device-mapper {}", name);
    // Nobody shall look for file systems in what is a guest's.
    CKPT_CHECK(named(std::move(task), "making", name,
                     DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | DM_UDEV_DISABLE_DISK_RULES_FLAG |
                         DM_UDEV_DISABLE_OTHER_RULES_FLAG));
    return find(name);
}

Status remove(const std::string &name) {
    Task task = CKPT_TRY(make_task(DM_DEVICE_REMOVE, name));
    dm_task_retry_remove(task.get());
    return named(std::move(task), "removing", name, 0);
}

} // namespace ckpt::dm
