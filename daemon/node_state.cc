// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/node_state.hh"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>

#include "libckpt/base/fd.hh"

namespace ckpt {

namespace {

constexpr const char *kFirstLine = "tlckpt-node-state 1";

std::string file_in(const std::string &directory) { return directory + "/node-state"; }

Status write_synced(const std::string &path, const std::string &text) {
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file)
        return fail(errno, "state {}", path);
    ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0)
        return fail(errno, "state {}", path);
    if (static_cast<std::size_t>(written) != text.size())
        return fail(ENOSPC, "state {}", path);
    if (::fsync(file.get()) != 0)
        return fail(errno, "state {}", path);
    return {};
}

} // namespace

Result<NodeState> NodeState::load(const std::string &directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(errno, "state directory {}", directory);
    NodeState state;
    state.directory_ = directory;
    std::string path = file_in(directory);
    std::ifstream stream(path);
    if (!stream) {
        if (errno == ENOENT)
            return state;
        return fail(errno, "state {}", path);
    }
    std::string line;
    unsigned number = 1;
    for (; std::getline(stream, line); number++) {
        bool right = false;
        if (number == 1) {
            right = line == kFirstLine;
        } else if (line.starts_with("sn ")) {
            const char *end = line.data() + line.size();
            auto [at, error] = std::from_chars(line.data() + 3, end, state.used_sn_);
            right = error == std::errc() && at == end;
        } else if (line.starts_with("guest ")) {
            auto uuid = Uuid::parse(std::string_view(line).substr(6));
            right = uuid.has_value();
            if (right)
                state.guests_.push_back(*uuid);
        }
        if (!right)
            return fail(EBADMSG, "state {}:{}: not what tlckptd wrote", path, number);
    }
    if (number == 1)
        return fail(EBADMSG, "state {}: empty", path);
    return state;
}

Status NodeState::use_sn(Sn sn) {
    CKPT_CHECK(save(sn, guests_));
    used_sn_ = sn;
    return {};
}

Status NodeState::set_guests(std::vector<Uuid> guests) {
    CKPT_CHECK(save(used_sn_, guests));
    guests_ = std::move(guests);
    return {};
}

Status NodeState::save(Sn sn, const std::vector<Uuid> &guests) {
    std::string text = fmt::format("{}\nsn {}\n", kFirstLine, sn);
    for (const Uuid &uuid : guests)
        text += fmt::format("guest {}\n", uuid.to_string());
    std::string path = file_in(directory_), fresh = path + ".new";
    CKPT_CHECK(write_synced(fresh, text));
    if (::rename(fresh.c_str(), path.c_str()) != 0)
        return fail(errno, "state {}", path);
    Fd folder(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0)
        return fail(errno, "state directory {}", directory_);
    return {};
}

} // namespace ckpt
