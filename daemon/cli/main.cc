// SPDX-License-Identifier: GPL-2.0-only
// tlckptctl: exit 0 done, 1 the daemon refused or failed, 2 it could not be
// reached, 255 wrong usage (as iproute2); 3: doctor has warnings only.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>

#include <fmt/format.h>

#include "daemon/cli/client.hh"
#include "daemon/cli/commands.hh"
#include "daemon/cli/kernel.hh"
#include "daemon/cli/output_file.hh"
#include "daemon/cli/progress_line.hh"
#include "daemon/cli/render.hh"
#include "daemon/control/version.hh"
#include "daemon/doctor/host.hh"

using namespace ckpt;

namespace {

enum ExitCode { kDone = 0, kFailed = 1, kNoDaemon = 2, kUsage = 255 };

int error(ExitCode code, const std::string &message) {
    fmt::print(stderr, "Error: {}.\n", message);
    return code;
}

// Standard output belongs to the stream with `--to -`.
int print_reply(const cli::Invocation &invocation, const control::Json &reply) {
    std::ostream &out = invocation.to == "-" ? std::cerr : std::cout;
    if (!invocation.json) {
        int code = invocation.command->render(reply, out);
        if (code == cli::kNotUnderstood)
            return error(kNoDaemon, "tlckptd's reply is not understood; is it of another version?");
        return code;
    }
    out << reply.dump(invocation.pretty ? 4 : -1) << "\n";
    // The verdict is that of the other form, too.
    std::ostream nowhere(nullptr);
    return std::max(0, invocation.command->render(reply, nowhere));
}

int run_kernel(const cli::Invocation &invocation) {
    auto reply = cli::ask_kernel(invocation);
    if (!reply)
        return error(reply.error().daemon_said_so ? kFailed : kNoDaemon, reply.error().message);
    return print_reply(invocation, *reply);
}

// The host can be looked at without the daemon, too.
int doctor_alone(const cli::Invocation &invocation, const std::string &why) {
    control::DoctorReply reply{control::kRefuse, doctor::examine_host({})};
    reply.findings.push_back({control::kNodeItself, "tlckptd", control::kRefuse, why,
                              "start tlckptd; guests and store are looked at by it"});
    print_reply(invocation, reply);
    return kNoDaemon;
}

int run(const cli::Invocation &invocation) {
    const std::string_view request = invocation.command->request;
    if (request == "kernel:monitor")
        return cli::monitor(invocation);
    if (request.starts_with("kernel:"))
        return run_kernel(invocation);
    std::optional<cli::OutputFile> file;
    if (!invocation.to.empty()) {
        auto opened = cli::OutputFile::open(invocation.to);
        if (!opened)
            return error(kFailed, opened.error());
        file.emplace(std::move(*opened));
    }
    cli::ProgressLine line;
    auto reply = cli::ask(invocation.socket, {invocation.command->request, invocation.arguments},
                          file ? file->fd() : -1,
                          [&](const control::Progress &progress) { line.show(progress); });
    line.clear();
    if (!reply && !reply.error().daemon_said_so && request == control::kDoctor)
        return doctor_alone(invocation, reply.error().message);
    if (!reply)
        return error(reply.error().daemon_said_so ? kFailed : kNoDaemon, reply.error().message);
    if (file)
        if (auto kept = file->keep(); !kept)
            return error(kFailed, kept.error());
    return print_reply(invocation, *reply);
}

// A command on each line, with the options of `all` too; ends at the first that fails.
int run_batch(const cli::Invocation &all) {
    std::ifstream file;
    if (all.batch != "-")
        file.open(all.batch);
    if (all.batch != "-" && !file)
        return error(kUsage, fmt::format("can't read {}", all.batch));
    std::istream &in = all.batch == "-" ? std::cin : file;
    std::string line;
    for (int number = 1; std::getline(in, line); number++) {
        std::istringstream text(line.substr(0, line.find('#')));
        std::vector<std::string> words{std::istream_iterator<std::string>(text), {}};
        if (words.empty())
            continue;
        auto one = cli::parse_command_line(std::move(words), cli::commands());
        if (!one || !one->command)
            return error(kUsage, fmt::format("line {}: {}", number,
                                             one ? "a command is wanted" : one.error()));
        one->json |= all.json;
        one->pretty |= all.pretty;
        one->statistics |= all.statistics;
        if (all.socket != control::kDefaultSocket)
            one->socket = all.socket;
        if (int code = run(*one))
            return code;
    }
    return kDone;
}

} // namespace

int main(int argc, char **argv) {
    auto invocation =
        cli::parse_command_line(std::vector<std::string>(argv + 1, argv + argc), cli::commands());
    if (!invocation) {
        if (argc == 1)
            cli::print_usage(std::cerr, cli::commands());
        return argc == 1 ? kUsage : error(kUsage, invocation.error());
    }
    if (invocation->version)
        fmt::print("tlckptctl {}\n", control::kVersion);
    else if (!invocation->batch.empty())
        return run_batch(*invocation);
    else if (!invocation->command)
        cli::print_usage(std::cout, cli::commands());
    else
        return run(*invocation);
    return kDone;
}
