// SPDX-License-Identifier: GPL-2.0-only
// What runs came to, as a table for people, CSV or JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "tests/sim/simulation.hh"

namespace ckpt::sim {

// Names and values, in the order in which they are shown.
using Columns = std::vector<std::pair<std::string, double>>;

// One column over all seeds.
struct Spread {
    double mean = 0, low = 0, high = 0;
};

class Summary {
  public:
    explicit Summary(const Scenario &scenario) : scenario_(scenario) {}

    // `seconds`: of real time.
    void add(std::uint64_t seed, const RunResult &result, double seconds);
    // `format`: table, csv (one line per seed) or json.
    std::string text(const std::string &format) const;
    Columns means() const;
    // Error: no column of that name.
    Result<Spread> spread(const std::string &column) const;

  private:
    struct Row {
        std::uint64_t seed;
        RunResult result;
        double seconds;
    };
    std::string table() const;
    std::string csv() const;
    std::string json() const;

    const Scenario scenario_;
    std::vector<Row> rows_;
};

// Equation (1) of the paper from 9 numbers (see --cost); the exit code.
int print_cost(const std::vector<double> &numbers);

} // namespace ckpt::sim
