// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/qmp.hh"

#include <cstring>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

namespace ckpt {

namespace {

constexpr timeval kPatience{5, 0};

int timeout_as_such(int error) { return error == EAGAIN ? ETIMEDOUT : error; }

} // namespace

Result<std::shared_ptr<Qmp>> Qmp::connect(const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ENAMETOOLONG, "{}", path);
    std::memcpy(address.sun_path, path.data(), path.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience) ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address))
        return fail(timeout_as_such(errno), "{}", path);
    std::shared_ptr<Qmp> qmp(new Qmp(std::move(fd)));
    auto greeting = qmp->next();
    if (!greeting)
        return wrap(path, greeting.error());
    if (!greeting->contains("QMP"))
        return fail(EPROTO, "{}: not QEMU's machine protocol", path);
    CKPT_TRY(qmp->execute("qmp_capabilities"));
    return qmp;
}

bool Qmp::usable() {
    std::lock_guard lock(mutex_);
    return bool(fd_);
}

Result<QmpJson> Qmp::execute(const std::string &command, const QmpJson &arguments) {
    std::lock_guard lock(mutex_);
    if (!fd_)
        return fail(ENOTCONN, "QEMU: {}", command);
    QmpJson request{{"execute", command}};
    if (!arguments.empty())
        request["arguments"] = arguments;
    auto reply = exchange(request.dump(-1, ' ', false, QmpJson::error_handler_t::replace) + "\n");
    if (!reply) {
        fd_.reset(); // an answer that comes late would be taken for another one's
        return wrap("QEMU: " + command, reply.error());
    }
    if (reply->contains("return"))
        return (*reply)["return"];
    const QmpJson error = reply->value("error", QmpJson::object());
    return fail(EREMOTEIO, "QEMU: {}: {}", command,
                error.contains("desc") ? error["desc"].dump() : error.dump());
}

Result<QmpJson> Qmp::exchange(const std::string &text) {
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = ::send(fd_.get(), &text[sent], text.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return fail(timeout_as_such(errno), "sending");
        sent += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    for (;;)
        if (auto message = next(); !message || !message->contains("event"))
            return message;
}

// A message is a line.
Result<QmpJson> Qmp::next() {
    std::size_t end = 0;
    while ((end = input_.find('\n')) == input_.npos) {
        char piece[4096];
        const ssize_t n = ::recv(fd_.get(), piece, sizeof piece, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(n ? timeout_as_such(errno) : ECONNRESET, "waiting for an answer");
        input_.append(piece, static_cast<std::size_t>(n));
    }
    auto message = QmpJson::parse(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(end),
                                  nullptr, false);
    input_.erase(0, end + 1);
    if (!message.is_object())
        return fail(EPROTO, "an answer that is no object");
    return message;
}

Result<std::shared_ptr<Qmp>> QmpConnections::get(const std::string &path) {
    std::lock_guard lock(mutex_);
    if (auto open = open_[path].lock(); open && open->usable())
        return open;
    auto made = CKPT_TRY(Qmp::connect(path));
    open_[path] = made;
    return made;
}

} // namespace ckpt
