// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/xl.hh"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libckpt/base/fd.hh"

namespace ckpt {

namespace {

// How much of what xl said is passed on, from its end.
constexpr off_t kSaidLimit = 400;

// Starts it with `input` and `output`; signals as a shell's child has them.
Result<pid_t> spawn(const std::vector<std::string> &arguments, int input, int output) {
    std::vector<char *> argv;
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    pid_t pid = -1;
    int error = ::posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        return fail(error, "{}", argv[0]);
    return pid;
}

// The last lines that it said, as one.
std::string said(int output) {
    off_t end = ::lseek(output, 0, SEEK_END);
    off_t from = std::max<off_t>(0, end - kSaidLimit);
    std::string text(static_cast<std::size_t>(end - from), '\0');
    ssize_t got = ::pread(output, text.data(), text.size(), from);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (from > 0)
        text.erase(0, text.find('\n') + 1);
    while (text.ends_with('\n'))
        text.pop_back();
    for (std::size_t at; (at = text.find('\n')) != text.npos;)
        text.replace(at, 1, "; ");
    return text;
}

} // namespace

Status run_xl(const std::vector<std::string> &arguments,
              const std::function<Status(int fd)> &feed) {
    std::vector<std::string> command{"xl"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    // A file, not a pipe: nobody has to read while the tool runs, and the
    // monitor that it leaves behind may keep it.
    Fd output(::memfd_create("xl", MFD_CLOEXEC));
    int ends[2] = {-1, -1};
    if (!output || ::pipe2(ends, O_CLOEXEC) != 0)
        return fail(errno, "xl {}", arguments[0]);
    Fd input(ends[0]), feeder(ends[1]);
    pid_t pid = CKPT_TRY(spawn(command, input.get(), output.get()));
    input.reset(); // when xl goes, writing to it fails
    Status fed = feed ? feed(feeder.get()) : Status();
    feeder.reset();
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0 && (fed.has_value() || fed.error().is(EPIPE)))
        return fail(ECHILD, "xl {} failed ({})", arguments[0], said(output.get()));
    return fed;
}

} // namespace ckpt
