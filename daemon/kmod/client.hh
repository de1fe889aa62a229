// SPDX-License-Identifier: GPL-2.0-only
// The kernel module's netlink family in JSON (attributes.hh): the only user of
// libnl. For one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>
#include <tl/expected.hpp>

namespace ckpt::kmod {

using Json = nlohmann::json;

struct Failure {
    int code; // errno
    std::string message;
};

class Client {
  public:
    // ENOENT: the module is not loaded; EPERM: not root.
    static tl::expected<Client, Failure> open();
    Client(Client &&) noexcept;
    Client &operator=(Client &&) noexcept;
    ~Client();

    // One operation with `attributes`. A dump's answer is an array; another's is
    // the reply's attributes, or an empty object. The message of a refusal is the
    // module's own. EINVAL too for an attribute that is not in the tables.
    tl::expected<Json, Failure> call(std::string_view operation,
                                     const Json &attributes = Json::object());

    // Events come to this socket from now on.
    tl::expected<void, Failure> subscribe();
    // Readable when an event is there.
    int fd() const;
    // Gives what is there to `event`, without waiting. ENOBUFS: some were lost,
    // read the state with node-get.
    tl::expected<void, Failure>
    receive(const std::function<void(std::string_view operation, const Json &)> &event);

  private:
    struct State;
    explicit Client(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace ckpt::kmod
