// SPDX-License-Identifier: GPL-2.0-only
// Where `restore --to` puts a guest's stream.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace ckpt::cli {

class OutputFile {
  public:
    // "-" is standard output, which must not be a terminal; a pipe or device
    // that exists is written to; anything else is a new file: what is there
    // already is never overwritten. The error says what to do.
    static tl::expected<OutputFile, std::string> open(const std::string &path);
    OutputFile(OutputFile &&other) noexcept;
    OutputFile &operator=(OutputFile &&) = delete;
    // Takes a new file away again unless keep() was called.
    ~OutputFile();

    int fd() const { return fd_; }
    // The file is whole: flushes it. The error says why it is not.
    tl::expected<void, std::string> keep();

  private:
    OutputFile(int fd, std::string created) : fd_(fd), created_(std::move(created)) {}

    int fd_;
    std::string created_; // the path of a file that this object made
};

} // namespace ckpt::cli
