// SPDX-License-Identifier: GPL-2.0-only
// tlckptctl's command line, in iproute2's manner:
//   tlckptctl [ OPTIONS ] OBJECT [ ACTION ] [ ARGUMENTS ]
// Objects, actions and keywords may be shortened to any prefix that only one
// of them has; a keyword may be written with leading dashes.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "daemon/control/protocol.hh"

namespace ckpt::cli {

// What a wrong command line gets as its answer, without "Error: ".
using UsageError = std::string;

// The words of a command line that are not used yet.
class Words {
  public:
    explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}
    bool more() const { return at_ < words_.size(); }
    const std::string &peek() const { return words_[at_]; }
    std::string take() { return words_[at_++]; }
    // The value that has to follow the keyword just taken.
    tl::expected<std::string, UsageError> value(std::string_view keyword);
    tl::expected<std::uint64_t, UsageError> number(std::string_view keyword);
    // The index that has to come next.
    tl::expected<std::uint64_t, UsageError> sn();

  private:
    std::vector<std::string> words_;
    std::size_t at_ = 0;
};

struct Invocation;

// One thing that tlckptctl does. Tables of these are all it knows.
struct Command {
    const char *object;
    const char *action;  // "": the object stands alone
    const char *usage;   // what follows `tlckptctl`
    const char *help;
    const char *request; // the control protocol's verb; "kernel:...": the module's operation
    // Reads the rest of the line into `invocation`.
    tl::expected<void, UsageError> (*parse)(Words &words, Invocation &invocation);
    // Writes the reply for people; returns the exit code.
    int (*render)(const control::Json &reply, std::ostream &out);
};

struct Invocation {
    const Command *command = nullptr; // null: help, the version or a batch is wanted
    bool version = false;
    bool json = false, pretty = false, statistics = false;
    std::string socket = control::kDefaultSocket;
    control::Json arguments = control::Json::object();
    std::string batch; // file with a command on each line; empty: none
    std::string to;    // restore's file, "-" for standard output; empty: none
};

tl::expected<Invocation, UsageError> parse_command_line(std::vector<std::string> arguments,
                                                        std::span<const Command> commands);

// The one of `names` that `word` is or begins, dashes aside; its index.
tl::expected<std::size_t, UsageError> match(std::string_view what, std::string_view word,
                                            std::span<const std::string_view> names);

void print_usage(std::ostream &out, std::span<const Command> commands);

} // namespace ckpt::cli
