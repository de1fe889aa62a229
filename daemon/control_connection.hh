// SPDX-License-Identifier: GPL-2.0-only
// One client of the control socket: lines in, with a descriptor if one came
// along, lines out. Control thread only.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/control/protocol.hh"
#include "daemon/event_loop.hh"
#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

class ControlConnection {
  public:
    // Called with each line; input then waits until next_line(). `passed` is
    // the descriptor that came with it, if any.
    using LineHandler = std::function<void(std::string line, Fd passed)>;
    // The client is gone or has broken the rules; the owner destroys this
    // object, which it may do in the call.
    using CloseHandler = std::function<void()>;

    static Result<std::unique_ptr<ControlConnection>> create(EventLoop &loop, Fd socket,
                                                             LineHandler on_line,
                                                             CloseHandler on_close);

    // Gives the next line, if one has come, or reads on.
    void next_line();
    void send(std::string_view line);
    // Closes once everything is sent.
    void finish();
    // Bytes that the client has not taken yet.
    std::size_t backlog() const { return output_.size(); }

  private:
    ControlConnection(Fd socket, LineHandler on_line, CloseHandler on_close);
    void ready(std::uint32_t revents);
    // These two return false when the connection is over.
    bool receive();
    bool flush();
    void update_events();

    Fd socket_;
    LineHandler on_line_;
    CloseHandler on_close_;
    EventLoop::Source source_;
    control::LineBuffer input_{control::kMaxRequest};
    std::string output_;
    Fd passed_;
    bool reading_ = true;
    bool finishing_ = false;
};

} // namespace ckpt
