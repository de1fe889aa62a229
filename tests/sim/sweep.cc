// SPDX-License-Identifier: GPL-2.0-only
#include "tests/sim/sweep.hh"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include <nlohmann/json.hpp>

namespace ckpt::sim {

Result<SweepKey> parse_sweep(const std::string &text) {
    SweepKey sweep;
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals + 1 == text.size())
        return fail(EINVAL, "--sweep {}: must be section.key=value,value...", text);
    sweep.key = text.substr(0, equals);
    std::istringstream values(text.substr(equals + 1));
    for (std::string value; std::getline(values, value, ',');)
        sweep.values.push_back(value);
    return sweep;
}

void Sweep::add(const std::string &value, const Summary &summary) {
    points_.push_back({value, summary});
}

Result<std::string> Sweep::text(const std::string &format, const std::string &column) const {
    std::string text;
    nlohmann::json all = nlohmann::json::array();
    for (const auto &[value, summary] : points_) {
        if (format == "csv") {
            const Columns means = summary.means();
            if (text.empty()) {
                text = key_.key;
                for (const auto &[name, mean] : means)
                    text += "," + name;
                text += "\n";
            }
            text += value;
            for (const auto &[name, mean] : means)
                text += fmt::format(",{:.12g}", mean);
            text += "\n";
            continue;
        }
        const Spread y = CKPT_TRY(summary.spread(column));
        if (format == "json") {
            all.push_back({{key_.key, value}, {"column", column}, {"mean", y.mean},
                           {"low", y.low}, {"high", y.high}});
            continue;
        }
        if (text.empty())
            text = fmt::format("{:>20} {:>14} {:>14} {:>14}\n", key_.key, column, "lowest",
                               "highest");
        text += fmt::format("{:>20} {:>14.6g} {:>14.6g} {:>14.6g}\n", value, y.mean, y.low, y.high);
    }
    return format == "json" ? all.dump(2) + "\n" : text;
}

Result<Curve> Sweep::curve(const std::string &title, const std::string &column) const {
    Curve curve{title, key_.key, column, {}};
    for (const auto &[value, summary] : points_) {
        char *end = nullptr;
        const double x = std::strtod(value.c_str(), &end);
        if (end == value.c_str() || *end)
            return fail(EINVAL, "--format svg: {} {} is no number to draw", key_.key, value);
        curve.points.push_back({x, CKPT_TRY(summary.spread(column))});
    }
    return curve;
}

Status plot_svg(const Curve &curve) {
    std::FILE *gnuplot = ::popen("gnuplot", "w");
    if (!gnuplot)
        return fail(errno, "gnuplot");
    std::string script = fmt::format("$points << END\n");
    for (const auto &[x, y] : curve.points)
        script += fmt::format("{:.12g} {:.12g} {:.12g} {:.12g}\n", x, y.mean, y.low, y.high);
    script += fmt::format("END\nset terminal svg size 800,500 background 'white'\n"
                          "set title '{}'\nset xlabel '{}' noenhanced\n"
                          "set ylabel '{}' noenhanced\nset grid\nunset key\nset yrange [0:*]\n"
                          "plot $points with yerrorbars pt 7 ps 0.5, $points with lines\n",
                          curve.title, curve.x_label, curve.y_label);
    const bool wrote = std::fwrite(script.data(), 1, script.size(), gnuplot) == script.size();
    const int status = ::pclose(gnuplot);
    if (!wrote || status != 0)
        return fail(EIO, "gnuplot: cannot draw (is gnuplot-nox installed?)");
    return {};
}

} // namespace ckpt::sim
