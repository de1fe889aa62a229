// SPDX-License-Identifier: GPL-2.0-only
// The control socket: who may connect, one request per client at a time, and
// the way of answers back to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <tl/expected.hpp>

#include "daemon/control/messages.hh"
#include "daemon/control/protocol.hh"
#include "daemon/control_connection.hh"
#include "daemon/event_loop.hh"
#include "libckpt/base/log.hh"

namespace ckpt {

class ControlServer;

// Why a request is not done. An Error becomes one by its whole message; where
// that would end in the words of an errno that say less than ours, refuse().
struct Refused : control::Refusal {
    Refused(int code_, std::string message_) : Refusal{code_, std::move(message_)} {}
    Refused(const Error &error) : Refusal{error.code.value(), error.message()} {}
};
using Reply = tl::expected<control::Json, Refused>;

template <typename... Args>
tl::unexpected<Refused> refuse(int code, fmt::format_string<Args...> format, Args &&...args) {
    return tl::unexpected(Refused(code, fmt::format(format, std::forward<Args>(args)...)));
}

inline tl::unexpected<Refused> refuse(const Error &error) { return tl::unexpected(Refused(error)); }

// One request under way. Thread-safe but for take_passed(). The first answer
// counts; destroyed without one, the client is told so.
class Call {
  public:
    Call(ControlServer &server, std::uint64_t client, control::Json arguments, Fd passed);
    ~Call();

    const control::Json &arguments() const { return arguments_; }
    // The descriptor that came with the request.
    Fd take_passed() { return std::move(passed_); }
    // The client is gone or the daemon ends: stop soon.
    bool cancelled() const { return cancelled_; }
    // Told to the client, a few times a second at most. Returns !cancelled().
    bool progress(const std::string &stage, std::uint64_t done, std::uint64_t total);
    void answer(const Reply &reply);

  private:
    friend class ControlServer;
    ControlServer &server_;
    const std::uint64_t client_;
    const control::Json arguments_;
    Fd passed_;
    std::atomic<bool> cancelled_ = false, answered_ = false;
    std::atomic<std::int64_t> next_progress_ns_ = 0;
};

class ControlServer {
  public:
    static constexpr std::size_t kMaxClients = 32;
    using Handler = std::function<void(std::shared_ptr<Call>)>;

    // Listens at `path`, mode 0600. EADDRINUSE: a running daemon has it.
    static Result<std::unique_ptr<ControlServer>> create(EventLoop &loop, Logger &logger,
                                                         const std::string &path);
    // Cancels and waits for what still runs.
    ~ControlServer();

    // Calls `handler` on the control thread for requests of this verb.
    void handle(const std::string &verb, Handler handler) { handlers_[verb] = std::move(handler); }
    // For a handler: answers with what `work` returns, on a thread of its own. `finish`,
    // if any, has the last word, on the control thread.
    void run(std::shared_ptr<Call> call, std::function<Reply(Call &)> work,
             std::function<Reply(Reply)> finish = {});

  private:
    friend class Call;
    struct Client {
        std::unique_ptr<ControlConnection> connection;
        std::weak_ptr<Call> call;
    };

    ControlServer(EventLoop &loop, Logger &logger, std::string path)
        : loop_(loop), logger_(logger), path_(std::move(path)) {}
    Status listen();
    void accept_one();
    bool permitted(int fd) const;
    void request(std::uint64_t client, std::string line, Fd passed);
    void drop(std::uint64_t client);
    void send_progress(std::uint64_t client, const std::string &line);
    void send_answer(std::uint64_t client, const std::string &line);

    EventLoop &loop_;
    Logger &logger_;
    const std::string path_;
    Fd socket_;
    EventLoop::Source source_;
    std::map<std::string, Handler> handlers_;
    std::map<std::uint64_t, Client> clients_;
    std::map<std::uint64_t, std::thread> threads_;
    std::uint64_t next_id_ = 1;
};

} // namespace ckpt
