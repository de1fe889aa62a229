// SPDX-License-Identifier: GPL-2.0-only
// The same seeds of one scenario for several values of one key: a curve.
#pragma once

#include <string>
#include <vector>

#include "tests/sim/report.hh"

namespace ckpt::sim {

struct SweepKey {
    std::string key;                  // section.key
    std::vector<std::string> values;
};

// "cluster.nodes=1,2,4"
Result<SweepKey> parse_sweep(const std::string &text);

// Column over x, a point for each value (or seed).
struct Curve {
    std::string title, x_label, y_label;
    struct Point {
        double x;
        Spread y;
    };
    std::vector<Point> points;
};

class Sweep {
  public:
    explicit Sweep(SweepKey key) : key_(std::move(key)) {}

    void add(const std::string &value, const Summary &summary);
    // `format`: csv has the means of all columns, table and json of `column` alone.
    Result<std::string> text(const std::string &format, const std::string &column) const;
    // Error: a value is no number.
    Result<Curve> curve(const std::string &title, const std::string &column) const;

  private:
    struct Point {
        std::string value;
        Summary summary;
    };
    const SweepKey key_;
    std::vector<Point> points_;
};

// To stdout as SVG, by gnuplot; mean, and a bar from the lowest to the highest.
Status plot_svg(const Curve &curve);

} // namespace ckpt::sim
