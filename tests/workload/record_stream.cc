// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/record_stream.hh"

#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>

namespace ckpt::workload {

namespace {
constexpr std::size_t kReadSize = 128 * 1024;

void set_no_delay(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Forgets the first `taken` bytes, now and then: not for every message.
void compact(std::vector<std::uint8_t> &buffer, std::size_t &taken) {
    if (taken < buffer.size() && taken < kReadSize)
        return;
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(taken));
    taken = 0;
}
} // namespace

RecordStream::RecordStream(Fd fd) : fd_(std::move(fd)) { set_no_delay(fd_.get()); }

Result<RecordStream> RecordStream::connect(const Address &to, bool ipv6, std::uint64_t connection) {
    RecordStream stream(CKPT_TRY(make_socket(SOCK_STREAM, 0, ipv6)));
    stream.connection_ = connection;
    stream.connecting_ = true;
    if (::connect(stream.fd(), to.get(), to.size) && errno != EINPROGRESS)
        return fail(errno, "connect");
    return stream;
}

std::string RecordStream::receive() {
    const std::size_t old = in_.size();
    in_.resize(old + kReadSize);
    const ssize_t got = recv(fd_.get(), in_.data() + old, kReadSize, 0);
    const int error = errno;
    in_.resize(old + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got == 0)
        return "closed by the peer";
    if (got < 0 && error != EAGAIN && error != EINTR)
        return std::strerror(error);
    return "";
}

std::optional<Message> RecordStream::take(std::string &why) {
    const std::span<const std::uint8_t> waiting(in_.data() + in_taken_, in_.size() - in_taken_);
    if (waiting.size() < kLengthKnown)
        return std::nullopt;
    const auto length = record_length(waiting);
    if (!length) {
        why = fmt::format("no record at byte {} of the stream", bytes_in_);
        return std::nullopt;
    }
    if (waiting.size() < *length)
        return std::nullopt;
    auto message = decode(waiting.first(*length), why);
    if (message && message->offset != bytes_in_)
        why = fmt::format("record for byte {} at byte {} of the stream", message->offset, bytes_in_);
    else if (message && connection_ && message->connection != connection_)
        why = fmt::format("record of connection {:x} in {:x}", message->connection, connection_);
    if (!why.empty()) {
        why += fmt::format(" (bytes taken: {})", bytes_in_);
        return std::nullopt;
    }
    in_taken_ += *length;
    bytes_in_ += *length;
    taken_ += message->kind == Kind::tcp;
    compact(in_, in_taken_);
    return message;
}

void RecordStream::queue(Message &message) {
    message.offset = bytes_out_;
    message.connection = connection_;
    const auto bytes = encode(message);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    bytes_out_ += bytes.size();
}

std::string RecordStream::flush() {
    if (connecting_) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            return std::strerror(error);
        connecting_ = false;
    }
    while (backlog() > 0) {
        const ssize_t sent = send(fd_.get(), out_.data() + out_taken_, backlog(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0 && errno != EINTR)
            return std::strerror(errno);
        out_taken_ += static_cast<std::size_t>(sent > 0 ? sent : 0);
    }
    compact(out_, out_taken_);
    return "";
}

} // namespace ckpt::workload
