// SPDX-License-Identifier: GPL-2.0-only
// Nodes that find each other, and their recovery record, through a real etcd.
#include "daemon/cluster/coordination.hh"

#include <gtest/gtest.h>

#include "libckpt/protocol/recovery.hh"
#include "tests/cluster/etcd_process.hh"

namespace ckpt {
namespace {

using namespace std::chrono_literals;

class Quiet : public Logger {
    void write(LogLevel, std::string_view) override {}
};

// A node without guests and module: its recovery is real, and done at once.
class Member : public CoordinationObserver {
  public:
    Member(EventLoop &loop, const std::string &url, NodeId node, u64 boot,
           const std::string &key = "k", const std::string &prefix = "/tlckpt/7/")
        : host_{node, boot}, recovery_({host_, std::nullopt, false}) {
        Coordination::Settings settings;
        settings.etcd.endpoints = {url};
        settings.etcd.timeout = 1s;
        settings.prefix = prefix;
        settings.self = {host_, "n" + std::to_string(node), {}};
        settings.key_check = key;
        settings.lease = 3s;
        coordination = std::move(*Coordination::create(loop, logger_, *this, settings));
        coordination->join();
    }

    std::unique_ptr<Coordination> coordination;
    std::vector<std::string> refusals;
    bool answers = true, stood_down = false;
    const Record &record() const { return recovery_.record(); }
    bool lives_in(std::initializer_list<Host> hosts) const {
        return record().stage == Stage::idle && record().live == std::vector<Host>(hosts);
    }

  private:
    void recovery_event(const RecoveryEvent &event) override {
        for (const RecoveryAction &action : recovery_.step(event))
            std::visit([this](const auto &a) { on(a); }, action);
    }
    void cluster_changed() override {}
    void refused(const Error &error) override { refusals.push_back(error.message()); }
    void reachable(const std::optional<Error> &error) override { answers = !error; }

    void on(const Propose &a) { coordination->propose(a); }
    void on(const PublishReport &a) { coordination->publish(a.report); }
    void on(const PublishDone &a) { coordination->publish_done(a.incarnation); }
    void on(const Freeze &a) {
        recovery_event(Settled{a.incarnation, {{host_.node, {{3, 0, 0, true}, {4, 3, 0, true}}, Sn{4}}}});
    }
    void on(const Fence &a) { recovery_event(FenceConfirmed{a.host}); }
    void on(const ReadHistory &a) {
        HistoryRead read{a.host, {}};
        for (GroupId group : a.groups)
            read.groups.push_back({group, {{3, 0, 0, true}}, {}});
        recovery_event(read);
    }
    void on(const Apply &a) { recovery_event(Applied{a.incarnation}); }
    void on(const Stuck &) {}
    void on(const StandDown &) { stood_down = true; }

    Quiet logger_;
    const Host host_;
    Recovery recovery_;
};

class CoordinationTest : public testing::Test {
  protected:
    void SetUp() override { loop_ = std::move(*EventLoop::create()); }
    std::unique_ptr<Member> member(NodeId node, u64 boot, const std::string &key = "k") {
        return std::make_unique<Member>(*loop_, server_.url(), node, boot, key);
    }
    void run_until(const std::function<bool()> &done, Duration limit = 30s) {
        auto end = steady_now() + limit;
        while (!done() && steady_now() < end)
            loop_->turn(100ms);
        ASSERT_TRUE(done());
    }

    EtcdProcess server_;
    std::unique_ptr<EventLoop> loop_;
};

TEST_F(CoordinationTest, TheFirstNodeFoundsTheClusterAndOthersAreLetIn) {
    auto n1 = member(1, 10), n2 = member(2, 20);
    run_until([&] { return n1->record().live.size() == 2 && n2->record().live.size() == 2; });
    EXPECT_EQ(0u, n1->record().incarnation);
    EXPECT_EQ(2u, n1->record().places.size());
    EXPECT_EQ("n2", n1->coordination->nodes().at(2).name);
    Catalogue catalogue{"n2", 0, 5, 4, {{2, {{{4, 3, 0, true}, 11, 12, 13}}}}};
    n2->coordination->publish(catalogue);
    run_until([&] { return n1->coordination->catalogues().contains(2); });
    EXPECT_EQ(4u, n1->coordination->catalogues().at(2).groups.at(2)[0].capture.index);
}

TEST_F(CoordinationTest, NodesThatFoundAClusterTogetherTakeNobodyForLost) {
    for (int i = 0; i < 10; i++) {
        std::string prefix = fmt::format("/tlckpt/{}/", 100 + i);
        Member n1(*loop_, server_.url(), 1, 10, "k", prefix);
        if (i % 2)
            loop_->turn(1ms); // one step of the founder ahead
        Member n2(*loop_, server_.url(), 2, 20, "k", prefix);
        run_until([&] { return n1.record().live.size() == 2 && n2.record().live.size() == 2; });
        EXPECT_EQ(0u, n1.record().incarnation);
        EXPECT_FALSE(n1.stood_down || n2.stood_down);
    }
}

TEST_F(CoordinationTest, ANodeWhoseLeaseRunsOutIsRecoveredFrom) {
    auto n1 = member(1, 10), n2 = member(2, 20), n3 = member(3, 30);
    run_until([&] { return n3->record().live.size() == 3 && n1->record().live.size() == 3; });
    n1.reset(); // the leader: nobody keeps its lease any more
    run_until([&] { return n2->record().done == 1 && n3->record().done == 1; });
    EXPECT_TRUE(n2->record().stage == Stage::idle && n2->record().live.size() == 2);
    ASSERT_EQ(1u, n2->record().history.size());
    EXPECT_EQ(3u, n2->record().history[0].k); // the newest that the lost one had
    // It comes back as another host, and is let in.
    n1 = member(1, 11);
    run_until([&] { return n1->record().live.size() == 3; });
    EXPECT_FALSE(n1->stood_down || n2->stood_down || n3->stood_down);
}

TEST_F(CoordinationTest, OneNodeIdOneKeyAndOneProtocolInACluster) {
    auto n1 = member(1, 10);
    run_until([&] { return n1->coordination->joined(); });
    auto twin = member(1, 11);
    auto stranger = member(2, 20, "another");
    run_until([&] { return !twin->refusals.empty() && !stranger->refusals.empty(); });
    EXPECT_NE(std::string::npos, twin->refusals[0].find("node id 1 is in use by n1"));
    EXPECT_NE(std::string::npos, stranger->refusals[0].find("key is not the one"));
    for (int i = 0; i < 10; i++)
        loop_->turn(100ms);
    EXPECT_EQ(1u, twin->refusals.size()); // said once
    EXPECT_TRUE(n1->lives_in({{1, 10}}));
}

TEST_F(CoordinationTest, NothingIsDecidedWhileTheStoreIsAwayAndAllGoesOnAfter) {
    auto n1 = member(1, 10), n2 = member(2, 20);
    run_until([&] { return n1->record().live.size() == 2 && n2->record().live.size() == 2; });
    server_.stop(SIGKILL);
    run_until([&] { return !n1->answers && !n2->answers; });
    Catalogue catalogue{"n1", 0, 9, 9, {}};
    n1->coordination->publish(catalogue);
    for (int i = 0; i < 60; i++)
        loop_->turn(100ms); // beyond the lease
    EXPECT_EQ(0u, n1->record().incarnation);
    server_.start();
    run_until([&] { return n1->answers && n2->answers && n2->coordination->catalogues().contains(1); });
    for (int i = 0; i < 30; i++)
        loop_->turn(100ms);
    EXPECT_EQ(9u, n2->coordination->catalogues().at(1).sn);
    EXPECT_EQ(0u, n1->record().incarnation) << "nobody was lost";
    EXPECT_FALSE(n1->stood_down || n2->stood_down);
}

} // namespace
} // namespace ckpt
