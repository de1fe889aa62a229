// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/options.hh"

#include <CLI/CLI.hpp>

#include "daemon/config.hh"
#include "daemon/control/version.hh"

namespace ckpt {

std::optional<Options> parse_options(int argc, char **argv, int &exit_code) {
    Options options;
    options.config_path = kDefaultConfigPath;
    CLI::App app{"tlckptd: takes checkpoints of this node's Xen guests", "tlckptd"};
    auto *config = app.add_option("-c,--config", options.config_path, "configuration file")
                       ->option_text("FILE (default: " + std::string(kDefaultConfigPath) + ")");
    app.add_flag("--check-config", options.check_config,
                 "read the configuration, say whether it is right, and end");
    app.add_option("--backend", options.backend, "override the configured backend")
        ->check(CLI::IsMember({"xen", "process"}));
    app.set_version_flag("-V,--version", std::string("tlckptd ") + control::kVersion);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        exit_code = app.exit(error) == 0 ? 0 : 2;
        return std::nullopt;
    }
    options.config_given = config->count() > 0;
    return options;
}

} // namespace ckpt
