// SPDX-License-Identifier: GPL-2.0-only
// The query port: one line of request, one line of JSON back, then it is closed.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"
#include "tests/workload/poller.hh"

namespace ckpt::workload {

class Control {
  public:
    // `answer` makes the reply for a request line.
    using Answer = std::function<std::string(const std::string &request)>;
    static Result<Control> open(std::uint16_t port, Answer answer);

    void watch(Poller &poller);

  private:
    struct Session {
        Fd fd;
        std::string request;
        std::string reply;
        std::size_t sent = 0;
        bool answered = false;
    };
    Control(Fd listener, Answer answer) : listener_(std::move(listener)), answer_(std::move(answer)) {}
    void read(Session &session);
    static void write(Session &session);

    Fd listener_;
    Answer answer_;
    std::list<Session> sessions_; // one with a closed fd is over
};

} // namespace ckpt::workload
