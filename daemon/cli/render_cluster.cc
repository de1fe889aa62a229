// SPDX-License-Identifier: GPL-2.0-only
// What the system level shows: the cluster in `status`, and `plan`.
#include <ostream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemon/cli/render.hh"

namespace ckpt::cli {

using namespace control;

namespace {

template <typename... Args>
void print(std::ostream &out, fmt::format_string<Args...> format, Args &&...args) {
    out << fmt::format(format, std::forward<Args>(args)...);
}

std::string words(const std::vector<std::string> &names) {
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, " "));
}

} // namespace

int render_cluster(const Cluster &cluster, std::ostream &out) {
    print(out, "cluster {}  node {}  mode {}  incarnation {}  {}{}\n", cluster.id, cluster.node_id,
          cluster.mode, cluster.incarnation, cluster.joined ? "joined" : "not joined",
          cluster.frozen ? "  frozen" : "");
    if (!cluster.refusal.empty())
        print(out, "    not let in: {}\n", cluster.refusal);
    if (!cluster.etcd.empty())
        print(out, "    no recovery can be decided: {}\n", cluster.etcd);
    if (cluster.recovery != "none")
        print(out, "    recovery {} is {}\n", cluster.incarnation, cluster.recovery);
    if (!cluster.stuck.empty())
        print(out, "    recovery does not get on: {}\n", cluster.stuck);
    print(out, "    captured {}  durable {}  forced {}  others {}  held {}  logged {} (lost {})  {}\n",
          cluster.captured, cluster.durable, cluster.forced, cluster.basic, cluster.held_frames,
          cluster.log_frames, cluster.log_lost,
          cluster.automatic ? "recovers by itself" : "recovers by hand");
    if (!cluster.cause.empty())
        print(out, "    {}\n", cluster.cause);
    if (cluster.recoveries)
        print(out, "    recoveries {}  the last one took {}, {} frame(s) replayed\n",
              cluster.recoveries, duration_text(cluster.recovery_ns), cluster.replayed);
    for (const Member &member : cluster.members)
        print(out, "    node {} {}  {}  sn {}  durable {}{}\n", member.id, member.name,
              member.alive ? "alive" : "lost", member.sn, member.durable,
              member.leads ? "  leads" : "");
    return 0;
}

int render_plan(const PlanReply &reply, std::ostream &out) {
    print(out, "recovery {} from the loss of node(s) {}: line {}{}\n", reply.incarnation,
          reply.lost.empty() ? "none" : fmt::format("{}", fmt::join(reply.lost, " ")), reply.line,
          reply.limiting.empty()
              ? ""
              : fmt::format(", limited by the guests of node {}", reply.limiting));
    for (const PlannedGroup &group : reply.groups) {
        print(out, "guests of node {} ({}) on node {}: ", group.group, words(group.guests),
              group.node);
        if (group.goes_back)
            print(out, "back to checkpoint {}, {} lost, {} to read, {} frame(s) to replay\n",
                  group.checkpoint, duration_text(group.lost_ns), size_text(group.bytes),
                  group.frames);
        else
            print(out, "as they are\n");
    }
    for (const std::string &group : reply.unprotected)
        print(out, "guests of node {}: no checkpoint, gone\n", group);
    return 0;
}

} // namespace ckpt::cli
