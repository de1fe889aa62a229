// SPDX-License-Identifier: GPL-2.0-only
// Numeric IPv4 and IPv6 addresses with a port, and the sockets made for them.
// (No getaddrinfo: it does not work in a static program.)
#pragma once

#include <cstdint>
#include <string>
#include <sys/socket.h>

#include "libckpt/base/fd.hh"
#include "libckpt/base/result.hh"

namespace ckpt::workload {

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&storage); }
};

// "10.0.0.1:7000", "[fe80::1]:7000"; without a port `default_port`. IPv4 comes out as
// IPv4-mapped IPv6 if `map`, so that one IPv6 socket serves both. Error: EINVAL.
Result<Address> parse_address(const std::string &text, std::uint16_t default_port, bool map);

// True if this machine has IPv6: then all sockets here are IPv6 ones.
bool have_ipv6();

// A non-blocking socket (SOCK_DGRAM or SOCK_STREAM) of the family in use; bound to `port` of
// every address if `port`; listening if it is a stream so bound.
Result<Fd> make_socket(int type, std::uint16_t port, bool ipv6);

} // namespace ckpt::workload
