// SPDX-License-Identifier: GPL-2.0-only
// QEMU's machine protocol (QMP): one command at a time, over a UNIX socket that
// takes one client at a time.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <nlohmann/json.hpp>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

using QmpJson = nlohmann::json;

// Thread-safe.
class Qmp {
  public:
    // Waits for its turn, some seconds. ENOENT, ECONNREFUSED: there is no QEMU;
    // ETIMEDOUT: somebody else keeps the socket.
    static Result<std::shared_ptr<Qmp>> connect(const std::string &path);

    // What the command returned. EREMOTEIO: QEMU refuses, and in which words;
    // others: the connection is of no use any more.
    Result<QmpJson> execute(const std::string &command,
                            const QmpJson &arguments = QmpJson::object());
    bool usable();

  private:
    explicit Qmp(Fd fd) : fd_(std::move(fd)) {}
    Result<QmpJson> exchange(const std::string &text);
    Result<QmpJson> next();

    std::mutex mutex_; // protects all below
    Fd fd_;            // none: broken
    std::string input_;
};

// Connections that are shared by those who need one at the same time, and closed
// when nobody does: others want the socket, too. Thread-safe.
class QmpConnections {
  public:
    // As Qmp::connect().
    Result<std::shared_ptr<Qmp>> get(const std::string &path);

  private:
    std::mutex mutex_; // protects open_
    std::map<std::string, std::weak_ptr<Qmp>> open_;
};

} // namespace ckpt
