// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/control_server.hh"

#include <cerrno>
#include <chrono>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace ckpt {

namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(100);
// A client that does not read gets no more progress beyond this.
constexpr std::size_t kProgressBacklog = 64 * 1024;

Result<sockaddr_un> address_of(const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ENAMETOOLONG, "control socket {}", path);
    path.copy(address.sun_path, path.size());
    return address;
}

// What a killed daemon left is taken away; a living one is not touched.
Status clear_address(const sockaddr_un &address) {
    struct stat found;
    if (::lstat(address.sun_path, &found) != 0)
        return {};
    if (!S_ISSOCK(found.st_mode))
        return fail(EEXIST, "control socket {}: something else has this name", address.sun_path);
    Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0)
        return fail(EADDRINUSE, "control socket {}: a tlckptd is running already",
                    address.sun_path);
    if (::unlink(address.sun_path) != 0)
        return fail(errno, "control socket {}: removing an old one", address.sun_path);
    return {};
}

} // namespace

Call::Call(ControlServer &server, std::uint64_t client, control::Json arguments, Fd passed)
    : server_(server), client_(client), arguments_(std::move(arguments)),
      passed_(std::move(passed)) {}

Call::~Call() { answer(refuse(ECANCELED, "the daemon ended before this was done")); }

bool Call::progress(const std::string &stage, std::uint64_t done, std::uint64_t total) {
    std::int64_t now = steady_now().time_since_epoch() / std::chrono::nanoseconds(1);
    std::int64_t next = next_progress_ns_;
    if (now >= next && next_progress_ns_.compare_exchange_strong(
                           next, now + std::chrono::nanoseconds(kProgressInterval).count())) {
        auto line = control::encode_progress(control::Progress{stage, done, total});
        server_.loop_.post([&server = server_, client = client_, line = std::move(line)] {
            server.send_progress(client, line);
        });
    }
    return !cancelled();
}

void Call::answer(const Reply &reply) {
    if (answered_.exchange(true))
        return;
    auto line = reply ? control::encode_reply(*reply) : control::encode_error(reply.error());
    if (line.size() > control::kMaxReply)
        line = control::encode_error({EMSGSIZE, "the answer is too long; ask for less of it"});
    server_.loop_.post([&server = server_, client = client_, line = std::move(line)] {
        server.send_answer(client, line);
    });
}

Result<std::unique_ptr<ControlServer>> ControlServer::create(EventLoop &loop, Logger &logger,
                                                             const std::string &path) {
    std::unique_ptr<ControlServer> server(new ControlServer(loop, logger, path));
    CKPT_CHECK(server->listen());
    return server;
}

Status ControlServer::listen() {
    sockaddr_un address = CKPT_TRY(address_of(path_));
    // Only the folder itself: a wrong path shall not grow a tree.
    std::string folder = path_.substr(0, path_.rfind('/'));
    if (!folder.empty() && ::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
        return fail(errno, "control socket: folder {}", folder);
    socket_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_)
        return fail(errno, "control socket");
    CKPT_CHECK(clear_address(address));
    mode_t before = ::umask(0177);
    int r = ::bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address);
    int error = errno;
    ::umask(before);
    if (r != 0)
        return fail(error, "control socket {}", path_);
    if (::listen(socket_.get(), 128) != 0)
        return fail(errno, "control socket {}", path_);
    source_ = CKPT_TRY(loop_.add_fd(socket_.get(), EPOLLIN, [this](auto) { accept_one(); }));
    return {};
}

ControlServer::~ControlServer() {
    if (source_) // else it is not ours
        ::unlink(path_.c_str());
    for (auto &[id, client] : clients_)
        if (auto call = client.call.lock())
            call->cancelled_ = true;
    for (auto &[id, thread] : threads_)
        thread.join();
}

bool ControlServer::permitted(int fd) const {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

void ControlServer::accept_one() {
    Fd fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd)
        return;
    bool allowed = permitted(fd.get());
    bool room = clients_.size() < kMaxClients && threads_.size() < kMaxClients;
    std::uint64_t id = next_id_++;
    auto connection = ControlConnection::create(
        loop_, std::move(fd),
        [this, id](std::string line, Fd passed) { request(id, std::move(line), std::move(passed)); },
        [this, id] { drop(id); });
    if (!connection) {
        logger_.warning("control client: {}", connection.error().message());
        return;
    }
    ControlConnection &made = **connection;
    clients_[id].connection = std::move(*connection);
    if (!allowed)
        made.send(control::encode_error({EPERM, "only root may control tlckptd"}));
    else if (!room)
        made.send(control::encode_error({EBUSY, "too many clients at once"}));
    if (!allowed || !room)
        made.finish();
}

void ControlServer::request(std::uint64_t id, std::string line, Fd passed) {
    auto request = control::decode_request(line);
    if (!request) {
        send_answer(id, control::encode_error({EBADMSG, "not a request: " + line.substr(0, 80)}));
        return;
    }
    auto handler = handlers_.find(request->verb);
    if (handler == handlers_.end()) {
        send_answer(id, control::encode_error({EOPNOTSUPP, "unknown request: " + request->verb}));
        return;
    }
    auto call =
        std::make_shared<Call>(*this, id, std::move(request->arguments), std::move(passed));
    clients_[id].call = call;
    handler->second(std::move(call));
}

void ControlServer::run(std::shared_ptr<Call> call, std::function<Reply(Call &)> work,
                        std::function<Reply(Reply)> finish) {
    std::uint64_t id = next_id_++;
    threads_[id] = std::thread([this, id, call = std::move(call), work = std::move(work),
                                finish = std::move(finish)] {
        Reply reply = work(*call);
        if (!finish)
            call->answer(reply);
        loop_.post([this, id, call, finish, reply] {
            if (finish)
                call->answer(finish(reply));
            auto thread = threads_.find(id);
            thread->second.join();
            threads_.erase(thread);
        });
    });
}

void ControlServer::drop(std::uint64_t id) {
    auto client = clients_.find(id);
    if (auto call = client->second.call.lock())
        call->cancelled_ = true;
    clients_.erase(client);
}

void ControlServer::send_progress(std::uint64_t id, const std::string &line) {
    auto client = clients_.find(id);
    if (client != clients_.end() && client->second.connection->backlog() < kProgressBacklog)
        client->second.connection->send(line);
}

void ControlServer::send_answer(std::uint64_t id, const std::string &line) {
    auto client = clients_.find(id);
    if (client == clients_.end())
        return;
    client->second.connection->send(line);
    // Not from here: a client's many requests would nest as many calls.
    loop_.post([this, id] {
        auto still = clients_.find(id);
        if (still != clients_.end())
            still->second.connection->next_line();
    });
}

} // namespace ckpt
