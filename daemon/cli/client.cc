// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/client.hh"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace ckpt::cli {

namespace {

struct Socket {
    int fd = -1;
    ~Socket() {
        if (fd >= 0)
            ::close(fd);
    }
};

tl::unexpected<Failure> unreachable(const std::string &path, int error) {
    const char *advice = error == ENOENT || error == ECONNREFUSED
                             ? "; is it running? (systemctl start tlckptd)"
                         : error == EACCES || error == EPERM ? "; only root may" : "";
    return tl::unexpected(Failure{false, fmt::format("can't reach tlckptd at {}: {}{}", path,
                                                     std::strerror(error), advice)});
}

tl::unexpected<Failure> broken(const char *what) { return tl::unexpected(Failure{false, what}); }

int connect_to(int fd, const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return ENAMETOOLONG;
    path.copy(address.sun_path, path.size());
    int r = ::connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address);
    return r == 0 ? 0 : errno;
}

bool send_all(int fd, std::string_view bytes, int pass) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    while (!bytes.empty()) {
        iovec vector{const_cast<char *>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        if (pass >= 0) {
            message.msg_control = space.data();
            message.msg_controllen = space.size();
            cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            std::memcpy(CMSG_DATA(header), &pass, sizeof pass);
        }
        ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        pass = -1; // went with the first byte
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

} // namespace

tl::expected<control::Json, Failure>
ask(const std::string &socket_path, const control::Request &request, int pass,
    const std::function<void(const control::Progress &)> &on_progress) {
    Socket socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (int error = socket.fd < 0 ? errno : connect_to(socket.fd, socket_path))
        return unreachable(socket_path, error);
    // A daemon that refuses this client closes early: its answer is read below.
    bool sent = send_all(socket.fd, control::encode_request(request), pass);

    control::LineBuffer lines(control::kMaxReply + 1);
    std::array<char, 65536> bytes;
    for (;;) {
        while (auto line = lines.next()) {
            auto answer = control::decode_answer(*line);
            if (!answer)
                return broken("tlckptd's answer is not understood; is it of another version?");
            if (answer->reply)
                return *answer->reply;
            if (answer->error)
                return tl::unexpected(Failure{true, answer->error->message});
            if (auto progress = control::decode<control::Progress>(*answer->progress))
                on_progress(*progress);
        }
        if (lines.overflow())
            return broken("tlckptd's answer is too long");
        ssize_t got = ::recv(socket.fd, bytes.data(), bytes.size(), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return broken(sent ? "tlckptd closed the connection before it answered"
                               : "tlckptd closed the connection");
        lines.append({bytes.data(), static_cast<std::size_t>(got)});
    }
}

} // namespace ckpt::cli
