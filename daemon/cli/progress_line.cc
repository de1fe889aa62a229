// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/progress_line.hh"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace ckpt::cli {

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO)) {}

void ProgressLine::show(const control::Progress &progress) {
    if (!terminal_)
        return;
    fmt::print(stderr, "\r\033[K{}", progress_text(progress));
    shown_ = true;
}

void ProgressLine::clear() {
    if (shown_)
        fmt::print(stderr, "\r\033[K");
    shown_ = false;
}

std::string progress_text(const control::Progress &progress) {
    if (progress.total == 0)
        return progress.stage + " ...";
    return fmt::format("{} {} %", progress.stage,
                       static_cast<unsigned>(100.0 * static_cast<double>(progress.done) /
                                             static_cast<double>(progress.total)));
}

} // namespace ckpt::cli
