// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/control.hh"

#include <sys/socket.h>

#include "tests/workload/address.hh"

namespace ckpt::workload {

namespace {
constexpr std::size_t kMaxSessions = 8;
constexpr std::size_t kMaxRequest = 256;
} // namespace

Result<Control> Control::open(std::uint16_t port, Answer answer) {
    return Control(CKPT_TRY(make_socket(SOCK_STREAM, port, have_ipv6())), std::move(answer));
}

void Control::watch(Poller &poller) {
    std::erase_if(sessions_, [](const Session &session) { return !session.fd; });
    if (sessions_.size() >= kMaxSessions)
        sessions_.pop_front(); // the oldest is the one that nobody waits for
    poller.watch(listener_.get(), POLLIN, [this](short) {
        Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd)
            sessions_.push_back({std::move(fd), {}, {}, 0, false});
    });
    for (Session &session : sessions_)
        poller.watch(session.fd.get(), session.answered ? POLLOUT : POLLIN,
                     [this, &session](short) { session.answered ? write(session) : read(session); });
}

void Control::read(Session &session) {
    char buffer[kMaxRequest];
    const ssize_t got = recv(session.fd.get(), buffer, sizeof buffer, 0);
    if (got > 0)
        session.request.append(buffer, static_cast<std::size_t>(got));
    const auto end = session.request.find('\n');
    if (end != std::string::npos) {
        session.reply = answer_(session.request.substr(0, end)) + "\n";
        session.answered = true;
        write(session);
    } else if (got == 0 || session.request.size() > kMaxRequest) {
        session.fd.reset();
    }
}

void Control::write(Session &session) {
    const ssize_t sent = send(session.fd.get(), session.reply.data() + session.sent,
                              session.reply.size() - session.sent, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    session.sent += static_cast<std::size_t>(sent > 0 ? sent : 0);
    if (sent < 0 || session.sent == session.reply.size())
        session.fd.reset();
}

} // namespace ckpt::workload
