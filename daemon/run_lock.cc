// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/run_lock.hh"

#include <cerrno>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace ckpt {

Result<Fd> take_run_lock(const std::string &directory, Duration patience) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(errno, "state directory {}", directory);
    const std::string path = directory + "/lock";
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file)
        return fail(errno, "state {}", path);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(file.get(), F_SETLK, &whole) != 0) {
        const int error = errno;
        if ((error == EAGAIN || error == EACCES) && ::fcntl(file.get(), F_GETLK, &whole) == 0)
            return fail(EBUSY, "state directory {}: a tlckptd is running already (pid {})",
                        directory, whole.l_pid);
        return fail(error, "state {}", path);
    }
    const SteadyTime end = steady_now() + patience;
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return fail(errno, "state {}", path);
        if (steady_now() >= end)
            return fail(EBUSY, "state directory {}: what an earlier run left to resume its guests "
                               "(process resume-guard) is not done yet", directory);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return file;
}

} // namespace ckpt
