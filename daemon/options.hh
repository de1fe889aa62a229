// SPDX-License-Identifier: GPL-2.0-only
// tlckptd's command line.
#pragma once

#include <optional>
#include <string>

namespace ckpt {

struct Options {
    std::string config_path;
    bool config_given = false; // a missing file is an error then
    bool check_config = false; // only read the configuration, and say if it is right
    std::string backend;       // empty: as configured
};

// Nothing if the program is to end with `exit_code` (help, version, a mistake).
std::optional<Options> parse_options(int argc, char **argv, int &exit_code);

} // namespace ckpt
