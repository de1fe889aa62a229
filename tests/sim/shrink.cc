// SPDX-License-Identifier: GPL-2.0-only
#include "tests/sim/shrink.hh"

#include <algorithm>

namespace ckpt::sim {
namespace {

class Shrinker {
  public:
    Shrinker(const Scenario &scenario, std::uint64_t seed, unsigned budget)
        : seed_(seed), budget_(budget) {
        best_.scenario = scenario;
        best_.faults = draw_faults(scenario, seed);
        best_.horizon = static_cast<Time>(scenario.duration * 1e9);
    }

    SmallRun run() {
        try_with(best_.scenario, best_.faults, best_.horizon);
        for (std::size_t before = ~std::size_t{0}; before != size();) {
            before = size();
            fewer_faults();
            smaller_scenario();
        }
        RunOptions options{seed_, &best_.faults, best_.horizon, false};
        options.follow = Simulation(best_.scenario, options).run().culprit;
        options.trace = true;
        best_.result = Simulation(best_.scenario, options).run();
        return std::move(best_);
    }

  private:
    // What "smaller" means.
    std::size_t size() const {
        return best_.faults.size() * 1000000 + best_.scenario.nodes * 10000 +
               best_.scenario.guests * 1000 + static_cast<std::size_t>(best_.horizon / 10000000);
    }

    bool try_with(const Scenario &scenario, const std::vector<Fault> &faults, Time horizon) {
        if (best_.tried >= budget_)
            return false;
        best_.tried++;
        RunOptions options{seed_, &faults, horizon, false};
        const RunResult result = Simulation(scenario, options).run();
        if (result.wrong.empty())
            return false;
        best_.scenario = scenario;
        best_.faults = faults;
        // Nothing after the failure matters.
        best_.horizon = std::min(horizon, result.ended);
        std::erase_if(best_.faults, [&](const Fault &f) { return f.at > best_.horizon; });
        return true;
    }

    // Delta debugging (Zeller, Hildebrandt 2002): leave out ever smaller parts.
    void fewer_faults() {
        for (std::size_t part = best_.faults.size(); part > 0; part /= 2)
            for (std::size_t from = 0; from < best_.faults.size();) {
                std::vector<Fault> fewer = best_.faults;
                const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(from);
                fewer.erase(first, first + static_cast<std::ptrdiff_t>(
                                               std::min(part, fewer.size() - from)));
                if (!try_with(best_.scenario, fewer, best_.horizon))
                    from += part;
            }
    }

    void change(auto &&edit) {
        Scenario smaller = best_.scenario;
        edit(smaller);
        std::vector<Fault> faults = best_.faults;
        std::erase_if(faults, [&](const Fault &f) { return f.host >= smaller.nodes; });
        try_with(smaller, faults, best_.horizon);
    }

    void smaller_scenario() {
        if (best_.scenario.nodes > 2)
            change([](Scenario &s) { s.nodes--; });
        if (best_.scenario.guests > 1)
            change([](Scenario &s) { s.guests = 1; });
        change([](Scenario &s) { s.rate /= 2; });
        for (double Scenario::*value :
             {&Scenario::loss, &Scenario::duplicate, &Scenario::jitter, &Scenario::skew,
              &Scenario::fail_suspend, &Scenario::fail_capture, &Scenario::fail_persist,
              &Scenario::reorder, &Scenario::ring})
            if (best_.scenario.*value > 0)
                change([value](Scenario &s) { s.*value = 0; });
    }

    const std::uint64_t seed_;
    const unsigned budget_;
    SmallRun best_;
};

} // namespace

SmallRun shrink(const Scenario &scenario, std::uint64_t seed, unsigned budget) {
    return Shrinker(scenario, seed, budget).run();
}

std::string describe(const Fault &fault) {
    const char *const kNames[] = {"crash", "isolation", "daemon restart", "store outage",
                                  "slow store", "leader crash"};
    const auto kind = static_cast<std::size_t>(fault.kind);
    const std::string where = kind < 3 ? fmt::format(" of node {}", fault.host + 1) : "";
    return fmt::format("{:.6f} {}{}", static_cast<double>(fault.at) / 1e9, kNames[kind], where);
}

} // namespace ckpt::sim
