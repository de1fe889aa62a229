// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/output_file.hh"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ckpt::cli {

namespace {

tl::unexpected<std::string> wrong(const std::string &path, const char *why) {
    return tl::unexpected(fmt::format("{}: {}", path, why));
}

} // namespace

tl::expected<OutputFile, std::string> OutputFile::open(const std::string &path) {
    if (path == "-") {
        if (::isatty(STDOUT_FILENO))
            return wrong("standard output", "a terminal can't take a guest's memory; use a pipe");
        return OutputFile(::dup(STDOUT_FILENO), "");
    }
    struct stat found;
    bool special = ::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode);
    int flags = special ? O_WRONLY | O_CLOEXEC : O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL;
    int fd = ::open(path.c_str(), flags, 0600);
    if (fd < 0 && errno == EEXIST)
        return wrong(path, "there is such a file already; remove it, or name another");
    if (fd < 0)
        return wrong(path, std::strerror(errno));
    return OutputFile(fd, special ? "" : path);
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : fd_(std::exchange(other.fd_, -1)), created_(std::exchange(other.created_, "")) {}

OutputFile::~OutputFile() {
    if (!created_.empty())
        ::unlink(created_.c_str());
    if (fd_ >= 0)
        ::close(fd_);
}

tl::expected<void, std::string> OutputFile::keep() {
    if (created_.empty())
        return {};
    if (::fsync(fd_) != 0)
        return wrong(created_, std::strerror(errno));
    created_.clear();
    return {};
}

} // namespace ckpt::cli
