// SPDX-License-Identifier: GPL-2.0-only
// tlckpt-sim: seeds of a scenario, one run each; exit 0 if every promise held.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>

#include "tests/sim/report.hh"
#include "tests/sim/shrink.hh"
#include "tests/sim/sweep.hh"

namespace ckpt::sim {
namespace {

struct Options {
    std::string scenario_file;
    std::vector<std::string> sets;
    std::uint64_t seed = 1, seeds = 1;
    unsigned jobs = 1;
    unsigned shrink_budget = 400;
    std::string format = "table";
    std::string sweep, column = "forced_guest_checkpoints";
    bool trace = false, print_scenario = false;
    std::vector<double> cost;
};

int fail_with(const Error &error) {
    std::fprintf(stderr, "tlckpt-sim: %s\n", error.message().c_str());
    return 2;
}

Result<Scenario> scenario_of(const Options &options) {
    Scenario scenario;
    if (!options.scenario_file.empty())
        scenario = CKPT_TRY(load_scenario(options.scenario_file));
    for (const std::string &assignment : options.sets)
        CKPT_CHECK(set_in_scenario(scenario, assignment));
    return scenario;
}

void print_failure(const Scenario &scenario, std::uint64_t seed, unsigned budget) {
    const SmallRun small = shrink(scenario, seed, budget);
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                small.result.wrong.c_str());
    std::printf("smallest failing run of %u tried: %u nodes, %u guests each, %zu faults, %.6f s\n",
                small.tried, small.scenario.nodes, small.scenario.guests, small.faults.size(),
                static_cast<double>(small.horizon) / 1e9);
    for (const Fault &fault : small.faults)
        std::printf("  fault %s\n", describe(fault).c_str());
    constexpr std::size_t kShown = 60;
    const auto &trace = small.result.trace;
    for (std::size_t i = trace.size() > kShown ? trace.size() - kShown : 0; i < trace.size(); i++)
        std::printf("%s\n", trace[i].c_str());
}

// Runs all seeds; the lowest failing one, if any.
std::optional<std::uint64_t> run_seeds(const Options &options, const Scenario &scenario,
                                       Summary &summary) {
    std::atomic<std::uint64_t> next = options.seed;
    std::mutex mutex;
    std::optional<std::uint64_t> failed;
    auto work = [&] {
        for (;;) {
            const std::uint64_t seed = next++;
            if (seed >= options.seed + options.seeds)
                return;
            RunOptions run{seed, nullptr, 0, options.trace};
            const auto started = std::chrono::steady_clock::now();
            const RunResult result = Simulation(vary(scenario, seed), run).run();
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
            std::lock_guard lock(mutex);
            summary.add(seed, result, took.count());
            if (!result.wrong.empty()) {
                failed = std::min(failed.value_or(seed), seed);
                next = options.seed + options.seeds; // no further ones
            }
            for (const std::string &line : result.trace)
                std::printf("%s\n", line.c_str());
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options.jobs; i++)
        threads.emplace_back(work);
    work();
    for (std::thread &thread : threads)
        thread.join();
    return failed;
}

// A curve instead of a sum.
int run_sweep(const Options &options, const Scenario &base) {
    const Result<SweepKey> key = parse_sweep(options.sweep);
    if (!key)
        return fail_with(key.error());
    Sweep sweep(*key);
    for (const std::string &value : key->values) {
        Scenario scenario = base;
        if (Status status = set_in_scenario(scenario, key->key + "=" + value); !status)
            return fail_with(status.error());
        Summary summary(scenario);
        if (const auto failed = run_seeds(options, scenario, summary)) {
            print_failure(vary(scenario, *failed), *failed, options.shrink_budget);
            return 1;
        }
        sweep.add(value, summary);
    }
    if (options.format == "svg") {
        const Result<Curve> curve = sweep.curve(base.name, options.column);
        if (!curve)
            return fail_with(curve.error());
        const Status status = plot_svg(*curve);
        return status ? 0 : fail_with(status.error());
    }
    const Result<std::string> text = sweep.text(options.format, options.column);
    if (!text)
        return fail_with(text.error());
    std::printf("%s", text->c_str());
    return 0;
}

int run(const Options &options) {
    if (!options.cost.empty())
        return print_cost(options.cost);
    const Result<Scenario> scenario = scenario_of(options);
    if (!scenario)
        return fail_with(scenario.error());
    if (options.print_scenario) {
        std::printf("%s", scenario_text(vary(*scenario, options.seed)).c_str());
        return 0;
    }
    if (!options.sweep.empty())
        return run_sweep(options, *scenario);
    if (options.format == "svg")
        return fail_with(fail(EINVAL, "--format svg: draws a curve, give it a --sweep").value());
    Summary summary(*scenario);
    const auto failed = run_seeds(options, *scenario, summary);
    std::printf("%s", summary.text(options.format).c_str());
    if (!failed)
        return 0;
    print_failure(vary(*scenario, *failed), *failed, options.shrink_budget);
    return 1;
}

} // namespace
} // namespace ckpt::sim

int main(int argc, char **argv) {
    ckpt::sim::Options options;
    CLI::App app("Simulates tlckpt's protocol under traffic and faults; one seed, one run.");
    app.add_option("scenario", options.scenario_file, "TOML file, see tests/sim/scenarios");
    app.add_option("--set", options.sets, "section.key=value, on top of the file");
    app.add_option("--seed", options.seed, "first seed")->capture_default_str();
    app.add_option("--seeds", options.seeds, "how many seeds")->check(CLI::PositiveNumber);
    app.add_option("--jobs", options.jobs, "runs at a time")->check(CLI::Range(1, 256));
    app.add_option("--shrink", options.shrink_budget, "runs spent on making a failure small");
    app.add_option("--format", options.format, "table, csv, json, or svg (by gnuplot)")
        ->check(CLI::IsMember({"table", "csv", "json", "svg"}));
    app.add_option("--sweep", options.sweep, "section.key=value,value...: a curve over these");
    app.add_option("--column", options.column, "what a curve shows")->capture_default_str();
    app.add_flag("--trace", options.trace, "print what happened");
    app.add_flag("--print-scenario", options.print_scenario, "what this seed makes of it");
    app.add_option("--cost", options.cost,
                   "equation (1): nodes, basic and forced checkpoints per node, then the measured "
                   "T_s T_a T_m T_d T_c T_r in milliseconds")
        ->expected(9);
    CLI11_PARSE(app, argc, argv);
    return ckpt::sim::run(options);
}
