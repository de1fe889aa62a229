// SPDX-License-Identifier: GPL-2.0-only
// tlckpt-workload: what runs in the guests of every test (README in this folder).
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "tests/workload/options.hh"
#include "tests/workload/query.hh"
#include "tests/workload/workload.hh"

namespace {
using namespace ckpt;
using namespace ckpt::workload;

constexpr char kUsage[] =
    R"(tlckpt-workload run --id N.G [options]       the workload itself
tlckpt-workload query ADDR[:PORT] [REQUEST] [--wait SECONDS]
    REQUEST: state (default), verify (all pages, then state), history (verify, and the last
    messages too), reset-gap, quiet, talk, check-disk, quit; the answer is one line of JSON
tlckpt-workload disk PATH                    what a disk log holds, as JSON
tlckpt-workload help
)";

int complain(const Error &error) {
    fmt::print(stderr, "tlckpt-workload: {}\n", error.message());
    return 1;
}

int run(const std::vector<std::string> &arguments) {
    signal(SIGPIPE, SIG_IGN);
    const auto options = parse_options(arguments);
    if (!options)
        return complain(options.error());
    const auto workload = Workload::create(*options);
    if (!workload)
        return complain(workload.error());
    (*workload)->run();
    return 0;
}

int print(const Result<std::string> &text) {
    if (!text)
        return complain(text.error());
    fmt::print("{}\n", *text);
    return text->starts_with(R"({"error")") ? 1 : 0;
}

int ask(std::vector<std::string> arguments) {
    double wait_s = 5;
    std::vector<std::string> words;
    for (std::size_t i = 0; i < arguments.size(); i++) {
        if (arguments[i] == "--wait" && i + 1 < arguments.size())
            wait_s = std::atof(arguments[++i].c_str());
        else
            words.push_back(arguments[i]);
    }
    if (words.empty())
        return complain({std::error_code(EINVAL, std::system_category()), "query: address missing"});
    std::string request = words.size() > 1 ? words[1] : "state";
    for (std::size_t i = 2; i < words.size(); i++)
        request += " " + words[i];
    return print(query(words[0], request, Duration(static_cast<std::int64_t>(wait_s * 1e9))));
}

} // namespace

int main(int count, char **values) {
    std::vector<std::string> arguments(values + 1, values + count);
    const std::string verb = arguments.empty() ? "" : arguments[0];
    if (!arguments.empty())
        arguments.erase(arguments.begin());
    if (verb == "run")
        return run(arguments);
    if (verb == "query")
        return ask(std::move(arguments));
    if (verb == "disk" && arguments.size() == 1)
        return print(DiskLog::describe(arguments[0]));
    const bool help = verb == "help" || verb == "--help";
    fmt::print(help ? stdout : stderr, "{}\n{}", kUsage, kOptionsHelp);
    return help ? 0 : 2;
}
