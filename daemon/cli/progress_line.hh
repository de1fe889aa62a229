// SPDX-License-Identifier: GPL-2.0-only
// One line on the terminal while long work runs; nothing anywhere else.
#pragma once

#include <string>

#include "daemon/control/messages.hh"

namespace ckpt::cli {

class ProgressLine {
  public:
    // Writes to standard error if that is a terminal.
    ProgressLine();
    ~ProgressLine() { clear(); }
    void show(const control::Progress &progress);
    void clear();

  private:
    bool terminal_;
    bool shown_ = false;
};

// "verifying 42 %", "suspending ..."
std::string progress_text(const control::Progress &progress);

} // namespace ckpt::cli
