// SPDX-License-Identifier: GPL-2.0-only
// A TCP connection cut into messages: what arrives is checked byte for byte
// against the stream's own offsets, so that a lost or doubled byte is found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libckpt/base/fd.hh"
#include "tests/workload/address.hh"
#include "tests/workload/message.hh"

namespace ckpt::workload {

class RecordStream {
  public:
    RecordStream() = default;
    // Takes over an accepted connection.
    explicit RecordStream(Fd fd);
    // Begins to connect; `connecting()` until flush() finds it done.
    static Result<RecordStream> connect(const Address &to, bool ipv6, std::uint64_t connection);

    bool open() const { return static_cast<bool>(fd_); }
    bool connecting() const { return connecting_; }
    int fd() const { return fd_.get(); }
    // Bytes queued that the kernel has not taken yet.
    std::size_t backlog() const { return out_.size() - out_taken_; }
    std::uint64_t connection() const { return connection_; }
    void set_connection(std::uint64_t connection) { connection_ = connection; }
    // No data message has been taken from it yet.
    bool fresh() const { return taken_ == 0; }

    // Reads what has arrived. Returns why the stream ended, or an empty text.
    std::string receive();
    // The next whole message. Nothing: not there yet, or `why` says what is wrong with it;
    // then the stream is of no more use.
    std::optional<Message> take(std::string &why);
    // Puts offset, connection and digest into the message and queues it.
    void queue(Message &message);
    // Gives the kernel what it takes. Returns why the stream ended, or an empty text.
    std::string flush();

  private:
    Fd fd_;
    bool connecting_ = false;
    std::uint64_t connection_ = 0;
    std::vector<std::uint8_t> in_;
    std::vector<std::uint8_t> out_;
    std::size_t in_taken_ = 0;
    std::size_t out_taken_ = 0;
    std::uint64_t bytes_in_ = 0;  // of whole messages taken
    std::uint64_t bytes_out_ = 0; // queued so far
    std::uint64_t taken_ = 0;     // data messages taken
};

} // namespace ckpt::workload
