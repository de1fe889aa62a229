// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control_connection.hh"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace ckpt {

Result<std::unique_ptr<ControlConnection>> ControlConnection::create(EventLoop &loop, Fd socket,
                                                                     LineHandler on_line,
                                                                     CloseHandler on_close) {
    int fd = socket.get();
    std::unique_ptr<ControlConnection> made(
        new ControlConnection(std::move(socket), std::move(on_line), std::move(on_close)));
    ControlConnection *self = made.get();
    made->source_ =
        CKPT_TRY(loop.add_fd(fd, EPOLLIN, [self](std::uint32_t revents) { self->ready(revents); }));
    return made;
}

ControlConnection::ControlConnection(Fd socket, LineHandler on_line, CloseHandler on_close)
    : socket_(std::move(socket)), on_line_(std::move(on_line)), on_close_(std::move(on_close)) {}

void ControlConnection::ready(std::uint32_t revents) {
    bool open = true;
    if (revents & EPOLLIN)
        open = receive();
    else if (revents & (EPOLLHUP | EPOLLERR))
        open = false;
    if (open && (revents & EPOLLOUT))
        open = flush();
    if (!open) {
        auto on_close = on_close_; // it destroys this object
        on_close();
        return;
    }
    if (reading_)
        next_line();
}

void ControlConnection::next_line() {
    reading_ = true;
    if (auto line = input_.next()) {
        reading_ = false;
        update_events();
        on_line_(std::move(*line), std::move(passed_));
        return;
    }
    if (input_.overflow()) {
        reading_ = false;
        send(control::encode_error({EMSGSIZE, "the request is too long"}));
        finish();
        return;
    }
    update_events();
}

bool ControlConnection::receive() {
    std::array<char, 16384> bytes;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> space;
    iovec vector{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    for (cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        std::array<int, 4> fds;
        std::size_t nr_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        std::memcpy(fds.data(), CMSG_DATA(c), nr_fds * sizeof(int));
        for (std::size_t i = 0; i < nr_fds; i++)
            passed_ = Fd(fds[i]); // one is kept, the rest is closed
    }
    input_.append({bytes.data(), static_cast<std::size_t>(got)});
    return got > 0;
}

void ControlConnection::send(std::string_view line) {
    output_ += line;
    // A failure is found again by the loop, which tells the owner.
    flush();
}

bool ControlConnection::flush() {
    while (!output_.empty()) {
        ssize_t sent =
            ::send(socket_.get(), output_.data(), output_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent <= 0)
            break;
        output_.erase(0, static_cast<std::size_t>(sent));
    }
    update_events();
    if (output_.empty() && finishing_)
        ::shutdown(socket_.get(), SHUT_RDWR); // comes back as a hang-up
    return true;
}

void ControlConnection::finish() {
    finishing_ = true;
    reading_ = false;
    flush();
}

void ControlConnection::update_events() {
    std::uint32_t in = reading_ ? static_cast<std::uint32_t>(EPOLLIN) : 0;
    std::uint32_t out = output_.empty() ? 0 : static_cast<std::uint32_t>(EPOLLOUT);
    source_.set_events(in | out);
}

} // namespace ckpt
