// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/address.hh"

#include <arpa/inet.h>
#include <charconv>
#include <netinet/in.h>

namespace ckpt::workload {

namespace {
struct HostPort {
    std::string host;
    std::string port;
};

HostPort split(const std::string &text) {
    const auto bracket = text.find(']');
    if (text.starts_with('[') && bracket != std::string::npos)
        return {text.substr(1, bracket - 1),
                text.size() > bracket + 2 ? text.substr(bracket + 2) : ""};
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || text.find(':') != colon)
        return {text, ""};
    return {text.substr(0, colon), text.substr(colon + 1)};
}
} // namespace

Result<Address> parse_address(const std::string &text, std::uint16_t default_port, bool map) {
    auto [host, port_text] = split(text);
    std::uint16_t port = default_port;
    const char *end = port_text.data() + port_text.size();
    const auto read = std::from_chars(port_text.data(), end, port);
    if (!port_text.empty() && (read.ec != std::errc{} || read.ptr != end))
        return fail(EINVAL, "address {}: bad port", text);
    Address address;
    in_addr four;
    if (inet_pton(AF_INET, host.c_str(), &four) == 1) {
        if (!map) {
            auto *in = reinterpret_cast<sockaddr_in *>(&address.storage);
            in->sin_family = AF_INET;
            in->sin_port = htons(port);
            in->sin_addr = four;
            address.size = sizeof *in;
            return address;
        }
        host = "::ffff:" + host;
    }
    auto *in6 = reinterpret_cast<sockaddr_in6 *>(&address.storage);
    if (inet_pton(AF_INET6, host.c_str(), &in6->sin6_addr) != 1)
        return fail(EINVAL, "address {}: want A.B.C.D:PORT or [IPv6]:PORT", text);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    address.size = sizeof *in6;
    return address;
}

bool have_ipv6() {
    const Fd probe(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return static_cast<bool>(probe);
}

Result<Fd> make_socket(int type, std::uint16_t port, bool ipv6) {
    const int family = ipv6 ? AF_INET6 : AF_INET;
    Fd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail(errno, "socket");
    if (port == 0)
        return fd;
    const int on = 1, off = 0;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ipv6)
        setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const Address any = CKPT_TRY(parse_address(ipv6 ? "[::]" : "0.0.0.0", port, false));
    if (bind(fd.get(), any.get(), any.size))
        return fail(errno, "{} port {}", type == SOCK_DGRAM ? "UDP" : "TCP", port);
    if (type == SOCK_STREAM && listen(fd.get(), 16))
        return fail(errno, "listen on port {}", port);
    return fd;
}

} // namespace ckpt::workload
