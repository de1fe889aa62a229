// SPDX-License-Identifier: GPL-2.0-only
#include "tests/sim/report.hh"

#include <algorithm>
#include <cstdio>
#include <map>

#include <sys/resource.h>

#include <nlohmann/json.hpp>

namespace ckpt::sim {
namespace {

// Of one run.
Columns columns(const Scenario &scenario, const RunResult &r, double seconds) {
    auto number = [](auto value) { return static_cast<double>(value); };
    const HostStats &c = r.checkpoints;
    const double taken = number(c.basic + c.forced + c.other);
    const double periods = number(r.ended) / 1e9 / scenario.period;
    return {{"events", number(r.events)},
            {"core_steps", number(r.steps)},
            {"frames", number(r.frames)},
            {"local_frames", number(r.local)},
            {"delivered", number(r.delivered)},
            {"held", number(r.held)},
            {"held_most", number(r.held_most)},
            {"logged", number(r.logged)},
            {"replayed", number(r.replayed)},
            {"dropped_ghost", number(r.verdicts[TLCKPT_DROP_GHOST])},
            {"dropped_full", number(r.verdicts[TLCKPT_DROP_FULL])},
            {"basic", number(c.basic)},
            {"forced", number(c.forced)},
            {"other", number(c.other)},
            {"skipped", number(c.skipped)},
            {"aborted", number(c.aborted)},
            {"forced_guest_checkpoints", number(c.forced) * scenario.guests},
            {"guest_checkpoints", taken * scenario.guests},
            {"per_period_and_node", taken / periods / scenario.nodes},
            {"durable", number(r.durable)},
            {"lost_captures", number(r.lost_captures)},
            {"recoveries", number(r.recoveries)},
            {"lines", number(r.lines)},
            {"spread", r.spread},
            {"highest_sn", number(r.sn_highest)},
            {"events_per_second", number(r.events) / std::max(seconds, 1e-9)},
            {"seconds", seconds}};
}

double peak_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024;
}

} // namespace

void Summary::add(std::uint64_t seed, const RunResult &result, double seconds) {
    rows_.push_back({seed, result, seconds});
    rows_.back().result.trace.clear();
}

std::string Summary::text(const std::string &format) const {
    return format == "csv" ? csv() : format == "json" ? json() : table();
}

std::string Summary::csv() const {
    std::string text;
    for (const Row &row : rows_) {
        const Columns values = columns(scenario_, row.result, row.seconds);
        if (text.empty()) {
            text = "scenario,nodes,guests,seed";
            for (const auto &[name, value] : values)
                text += fmt::format(",{}", name);
            text += '\n';
        }
        text += fmt::format("{},{},{},{}", scenario_.name, scenario_.nodes, scenario_.guests,
                            row.seed);
        for (const auto &[name, value] : values)
            text += fmt::format(",{:.12g}", value);
        text += '\n';
    }
    return text;
}

std::string Summary::json() const {
    nlohmann::json all = nlohmann::json::array();
    for (const Row &row : rows_) {
        nlohmann::json one = {{"scenario", scenario_.name},
                              {"nodes", scenario_.nodes},
                              {"guests", scenario_.guests},
                              {"seed", row.seed},
                              {"wrong", row.result.wrong}};
        for (const auto &[name, value] : columns(scenario_, row.result, row.seconds))
            one[name] = value;
        for (const auto &[why, count] : row.result.losses)
            one["lost"][why] = count;
        all.push_back(std::move(one));
    }
    return all.dump(2) + "\n";
}

Columns Summary::means() const {
    Columns sums;
    for (const Row &row : rows_) {
        const Columns values = columns(scenario_, row.result, row.seconds);
        if (sums.empty())
            sums = values;
        else
            for (std::size_t i = 0; i < values.size(); i++)
                sums[i].second += values[i].second;
    }
    for (auto &[name, sum] : sums)
        sum /= static_cast<double>(rows_.size());
    return sums;
}

Result<Spread> Summary::spread(const std::string &column) const {
    Spread spread;
    for (std::size_t i = 0; i < rows_.size(); i++) {
        const Columns values = columns(scenario_, rows_[i].result, rows_[i].seconds);
        const auto found = std::find_if(values.begin(), values.end(),
                                        [&](const auto &value) { return value.first == column; });
        if (found == values.end())
            return fail(EINVAL, "--column: there is no column \"{}\"", column);
        spread.mean += found->second / static_cast<double>(rows_.size());
        spread.low = i ? std::min(spread.low, found->second) : found->second;
        spread.high = i ? std::max(spread.high, found->second) : found->second;
    }
    return spread;
}

// Means over all seeds, and what was lost.
std::string Summary::table() const {
    std::map<std::string, u64> losses;
    unsigned failed = 0;
    for (const Row &row : rows_) {
        for (const auto &[why, count] : row.result.losses)
            losses[why] += count;
        failed += !row.result.wrong.empty();
    }
    std::string text = fmt::format("scenario {}: {} nodes, {} guests each, {} seed{}\n",
                                   scenario_.name, scenario_.nodes, scenario_.guests, rows_.size(),
                                   rows_.size() == 1 ? "" : "s, means");
    for (const auto &[name, mean] : means())
        text += fmt::format("  {:26} {:>14.6g}\n", name, mean);
    for (const auto &[why, count] : losses)
        text += fmt::format("  lost: {:20} {:>14}\n", why,
                            count / std::max<std::size_t>(rows_.size(), 1));
    const double guests = static_cast<double>(scenario_.nodes) * scenario_.guests;
    text += fmt::format("  {:26} {:>14.6g}\n", "peak_bytes", peak_bytes());
    text += fmt::format("  {:26} {:>14.6g}\n", "peak_bytes_per_guest", peak_bytes() / guests);
    text += fmt::format("{} runs, {} failed\n", rows_.size(), failed);
    return text;
}

int print_cost(const std::vector<double> &n) {
    if (n[0] < 1 || std::any_of(n.begin(), n.end(), [](double v) { return v < 0; })) {
        std::fprintf(stderr, "tlckpt-sim: --cost: at least one node, and no negative number\n");
        return 2;
    }
    const char *const kParts[] = {"T_s", "T_a", "T_m", "T_d", "T_c", "T_r"};
    double sum = 0;
    for (std::size_t i = 0; i < 6; i++) {
        std::printf("  %s  %12.3f ms\n", kParts[i], n[3 + i]);
        sum += n[3 + i];
    }
    std::printf("  T_n  %12.3f ms, of one node checkpoint\n", sum);
    std::printf("T_overhead = N (basic + forced) T_n = %.0f x (%.6g + %.6g) x %.3f ms = %.3f s\n",
                n[0], n[1], n[2], sum, n[0] * (n[1] + n[2]) * sum / 1000);
    return 0;
}

} // namespace ckpt::sim
