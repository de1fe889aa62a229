// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/query.hh"

#include <algorithm>
#include <poll.h>
#include <thread>

#include "tests/workload/address.hh"
#include "tests/workload/options.hh"

namespace ckpt::workload {

namespace {

Status wait_for(int fd, short events, SteadyTime deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_now()).count();
    pollfd polled{fd, events, 0};
    const int ready = poll(&polled, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready > 0)
        return {};
    return fail(ready ? errno : ETIMEDOUT, "query");
}

Result<std::string> ask_once(const Address &address, const std::string &line, SteadyTime deadline) {
    const bool ipv6 = address.storage.ss_family == AF_INET6;
    const Fd fd = CKPT_TRY(make_socket(SOCK_STREAM, 0, ipv6));
    if (connect(fd.get(), address.get(), address.size) && errno != EINPROGRESS)
        return fail(errno, "connect");
    CKPT_CHECK(wait_for(fd.get(), POLLOUT, deadline));
    if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
        return fail(errno, "connect");
    std::string reply;
    char buffer[65536];
    while (true) {
        CKPT_CHECK(wait_for(fd.get(), POLLIN, deadline));
        const ssize_t got = recv(fd.get(), buffer, sizeof buffer, 0);
        if (got < 0)
            return fail(errno, "receive");
        if (got == 0)
            break;
        reply.append(buffer, static_cast<std::size_t>(got));
    }
    if (!reply.ends_with('\n'))
        return fail(EPIPE, "answer cut off after {} bytes", reply.size());
    reply.pop_back();
    return reply;
}

} // namespace

Result<std::string> query(const std::string &address, const std::string &request, Duration patience) {
    const Address to = CKPT_TRY(parse_address(address, kControlPort, false));
    const SteadyTime deadline = steady_now() + patience;
    while (true) {
        // A packet lost while the guest was restored must not cost all the patience.
        const SteadyTime soon = std::min(deadline, steady_now() + std::chrono::seconds(10));
        auto reply = ask_once(to, request + "\n", soon);
        if (reply || steady_now() >= deadline)
            return reply ? std::move(reply) : wrap(address, reply.error());
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
}

} // namespace ckpt::workload
