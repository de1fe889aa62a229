// SPDX-License-Identifier: GPL-2.0-only
// The pre-flight's lines.
#include <ostream>

#include <fmt/format.h>

#include "daemon/cli/render.hh"

namespace ckpt::cli {

using namespace control;

int render_doctor(const DoctorReply &reply, std::ostream &out) {
    const std::string *of = nullptr;
    for (const Finding &finding : reply.findings) {
        if (!of || *of != finding.of)
            out << finding.of << "\n";
        of = &finding.of;
        out << fmt::format("    {:<6}  {:<12}  {}\n", finding.verdict, finding.subject, finding.found);
        if (!finding.advice.empty())
            out << fmt::format("{:26}-> {}\n", "", finding.advice);
    }
    return reply.verdict == kOk ? 0 : reply.verdict == kWarn ? 3 : 1;
}

} // namespace ckpt::cli
