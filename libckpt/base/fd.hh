// SPDX-License-Identifier: GPL-2.0-only
// An owned file descriptor.
#pragma once

#include <unistd.h>
#include <utility>

namespace ckpt {

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd &operator=(Fd &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    // Gives up ownership.
    int release() { return std::exchange(fd_, -1); }
    void reset() { *this = Fd(); }

  private:
    int fd_ = -1;
};

} // namespace ckpt
