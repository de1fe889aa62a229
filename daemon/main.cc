// SPDX-License-Identifier: GPL-2.0-only
// tlckptd: exit 0 after an orderly end, 1 if it could not start, 2 for a wrong
// command line.
#include <cstdio>

#include <unistd.h>

#include "daemon/config.hh"
#include "daemon/control/protocol.hh"
#include "daemon/daemon.hh"
#include "daemon/log.hh"
#include "daemon/options.hh"

namespace {

std::string host_name() {
    char name[256] = "";
    ::gethostname(name, sizeof name - 1);
    return name;
}

ckpt::Result<ckpt::Config> configuration(const ckpt::Options &options) {
    auto config = ckpt::load_config(options.config_path);
    if (!config && (options.config_given || !config.error().is(ENOENT)))
        return config;
    ckpt::Config used = config ? std::move(*config) : ckpt::Config();
    if (!options.backend.empty())
        used.backend = options.backend;
    if (used.node.empty())
        used.node = host_name();
    if (used.socket.empty())
        used.socket = ckpt::control::kDefaultSocket;
    return used;
}

} // namespace

int main(int argc, char **argv) {
    int exit_code = 0;
    auto options = ckpt::parse_options(argc, argv, exit_code);
    if (!options)
        return exit_code;
    auto config = configuration(*options);
    if (!config) {
        // What is wrong with a line is said in full; EINVAL's words add nothing.
        const ckpt::Error &error = config.error();
        std::fprintf(stderr, "tlckptd: %s\n",
                     error.is(EINVAL) ? error.context.c_str() : error.message().c_str());
        return 1;
    }
    if (options->check_config) {
        std::printf("%s: right\n", options->config_path.c_str());
        return 0;
    }
    auto logger = ckpt::make_stderr_logger(config->log_level);
    if (auto done = ckpt::run_daemon(*config, *logger); !done) {
        logger->error("{}", done.error().message());
        return 1;
    }
    return 0;
}
