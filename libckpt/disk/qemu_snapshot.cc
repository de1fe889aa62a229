// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/disk/qemu_snapshot.hh"

#include <chrono>
#include <thread>

namespace ckpt::qemu {

namespace {

using Json = QmpJson;

constexpr unsigned kGranularity = 4096; // the store's blocks
constexpr auto kPoll = std::chrono::milliseconds(20);
constexpr int kEndTries = 500;

std::string text(const Json &object, const char *member) {
    const auto found = object.find(member);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t number(const Json &object, const char *member) {
    const auto found = object.find(member);
    return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// What there is not need not go.
Status unless_refused(const Result<Json> &done) {
    return done || done.error().is(EREMOTEIO) ? Status() : tl::unexpected(done.error());
}

struct Job {
    bool there = false, ended = false;
    std::string error{};
};

Result<Job> look_at_job(Qmp &qmp, const std::string &ours) {
    const Json jobs = CKPT_TRY(qmp.execute("query-jobs"));
    for (const Json &job : jobs)
        if (text(job, "id") == ours)
            return Job{true, text(job, "status") == "concluded", text(job, "error")};
    return Job{};
}

// A job that is told to end may have a copy under way.
Status end_job(Qmp &qmp, const std::string &ours) {
    CKPT_CHECK(unless_refused(qmp.execute("block-job-cancel", {{"device", ours}, {"force", true}})));
    for (int i = 0; i < kEndTries; i++) {
        const Job job = CKPT_TRY(look_at_job(qmp, ours));
        if (!job.there)
            return {};
        if (job.ended)
            return unless_refused(qmp.execute("job-dismiss", {{"id", ours}}));
        std::this_thread::sleep_for(kPoll);
    }
    return fail(ETIMEDOUT, "QEMU: job {} does not end", ours);
}

} // namespace

Result<Node> find(Qmp &qmp, const std::string &path) {
    const Json nodes = CKPT_TRY(qmp.execute("query-named-block-nodes", {{"flat", true}}));
    for (const Json &node : nodes) {
        if (text(node, "drv") != "qcow2" || text(node, "file") != path || !node.contains("image"))
            continue;
        return Node{text(node, "node-name"), number(node["image"], "virtual-size"),
                    number(node["image"], "actual-size")};
    }
    return fail(ENODEV, "QEMU does not serve {} as qcow2", path);
}

Status add_increment(Qmp &qmp, const std::string &ours, const std::string &file) {
    CKPT_TRY(qmp.execute("blockdev-add", {{"driver", "qcow2"},
                                          {"node-name", ours},
                                          {"file", {{"driver", "file"}, {"filename", file}}}}));
    return {};
}

// A write that the guest still had under way when it was suspended may come between
// these steps, and be in the next increment only: the guest has not seen its end,
// and after a restore issues it again.
Status cut(Qmp &qmp, const Node &node, const std::string &ours, const std::string &next,
           const std::string &last) {
    Json actions = Json::array();
    Json copy{{"device", node.name}, {"target", ours}, {"job-id", ours}, {"auto-dismiss", false}, {"sync", "full"}};
    actions.push_back({{"type", "block-dirty-bitmap-add"},
                       {"data", {{"node", node.name}, {"name", next}, {"granularity", kGranularity}}}});
    if (!last.empty()) {
        actions.push_back({{"type", "block-dirty-bitmap-disable"},
                           {"data", {{"node", node.name}, {"name", last}}}});
        copy.update({{"sync", "bitmap"}, {"bitmap", last}, {"bitmap-mode", "never"}});
    }
    actions.push_back({{"type", "blockdev-backup"}, {"data", copy}});
    CKPT_TRY(qmp.execute("transaction", {{"actions", actions}}));
    return {};
}

Status finish_increment(Qmp &qmp, const Node &node, const std::string &ours,
                        const std::string &last) {
    for (;;) {
        const Job job = CKPT_TRY(look_at_job(qmp, ours));
        if (!job.there || !job.error.empty())
            return fail(EIO, "QEMU: copying what changed: {}", job.there ? job.error : "no such job");
        if (job.ended)
            break;
        std::this_thread::sleep_for(kPoll);
    }
    CKPT_TRY(qmp.execute("job-dismiss", {{"id", ours}}));
    if (!last.empty()) {
        CKPT_TRY(qmp.execute("block-dirty-bitmap-add", {{"node", ours},
                                                        {"name", ours},
                                                        {"granularity", kGranularity},
                                                        {"persistent", true}}));
        const Json from = Json::array({Json{{"node", node.name}, {"name", last}}});
        CKPT_TRY(qmp.execute("block-dirty-bitmap-merge",
                             {{"node", ours}, {"target", ours}, {"bitmaps", from}}));
    }
    CKPT_TRY(qmp.execute("blockdev-del", {{"node-name", ours}}));
    return {};
}

Status drop_increment(Qmp &qmp, const std::string &ours) {
    CKPT_CHECK(end_job(qmp, ours));
    return unless_refused(qmp.execute("blockdev-del", {{"node-name", ours}}));
}

Status drop_bitmap(Qmp &qmp, const Node &node, const std::string &bitmap) {
    return unless_refused(
        qmp.execute("block-dirty-bitmap-remove", {{"node", node.name}, {"name", bitmap}}));
}

Status take_back_cut(Qmp &qmp, const Node &node, const std::string &next, const std::string &last) {
    const Json actions = Json::array(
        {{{"type", "block-dirty-bitmap-enable"}, {"data", {{"node", node.name}, {"name", last}}}},
         {{"type", "block-dirty-bitmap-merge"},
          {"data", {{"node", node.name}, {"target", last}, {"bitmaps", Json::array({next})}}}}});
    CKPT_TRY(qmp.execute("transaction", {{"actions", actions}}));
    return drop_bitmap(qmp, node, next);
}

} // namespace ckpt::qemu
