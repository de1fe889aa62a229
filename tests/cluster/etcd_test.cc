// SPDX-License-Identifier: GPL-2.0-only
// The client against a real etcd.
#include "daemon/cluster/etcd.hh"

#include <optional>

#include <gtest/gtest.h>

#include "tests/cluster/etcd_process.hh"

namespace ckpt {
namespace {

using namespace std::chrono_literals;

class EtcdTest : public testing::Test {
  protected:
    void SetUp() override {
        loop_ = std::move(*EventLoop::create());
        etcd_ = client({server_.url()});
        ready();
    }
    void TearDown() override { etcd_.reset(); }

    std::unique_ptr<Etcd> client(std::vector<std::string> endpoints) {
        EtcdOptions options;
        options.endpoints = std::move(endpoints);
        options.timeout = 2s;
        return std::move(*Etcd::create(*loop_, options));
    }
    // Runs the loop until `done`, or fails the test.
    void run_until(const std::function<bool()> &done, Duration limit = 20s) {
        auto end = steady_now() + limit;
        while (!done() && steady_now() < end)
            loop_->turn(100ms);
        ASSERT_TRUE(done());
    }
    template <typename T, typename Call> Result<T> answer(Call call) {
        std::optional<Result<T>> got;
        call([&](Result<T> result) { got.emplace(std::move(result)); });
        run_until([&] { return got.has_value(); });
        return got ? std::move(*got) : Result<T>(fail(ETIME, "no answer"));
    }
    void ready() {
        for (int i = 0; i < 100; i++) {
            auto range = answer<Etcd::Range>([&](auto done) { etcd_->range("x", done); });
            if (range)
                return;
            ::usleep(100'000);
        }
        FAIL() << "etcd did not come up";
    }
    Result<Etcd::Range> range(const std::string &prefix) {
        return answer<Etcd::Range>([&](auto done) { etcd_->range(prefix, done); });
    }
    Result<Etcd::Txn> txn(std::vector<Etcd::Compare> compare, std::vector<Etcd::Put> put) {
        return answer<Etcd::Txn>([&](auto done) { etcd_->txn(compare, put, done); });
    }

    EtcdProcess server_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Etcd> etcd_;
};

TEST_F(EtcdTest, KeysUnderAPrefixWithTheirRevisions) {
    std::string bytes("\0\1\xff\n\"", 5);
    ASSERT_TRUE(txn({}, {{"a/1", bytes}, {"a/2", ""}, {"b", "other"}}));
    auto got = range("a/");
    ASSERT_TRUE(got);
    ASSERT_EQ(2u, got->keys.size());
    EXPECT_EQ("a/1", got->keys[0].key);
    EXPECT_EQ(bytes, got->keys[0].value);
    EXPECT_EQ("", got->keys[1].value);
    EXPECT_EQ(got->revision, got->keys[0].revision);
    ASSERT_TRUE(answer<void>([&](auto done) { etcd_->remove("a/1", done); }));
    EXPECT_EQ(1u, range("a/")->keys.size());
}

TEST_F(EtcdTest, CompareAndSwapTakesOneOfTwo) {
    auto first = txn({{"record", 0}}, {{"record", "one"}});
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->succeeded);
    auto again = txn({{"record", 0}}, {{"record", "two"}});
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->succeeded);
    EXPECT_EQ("one", range("record")->keys[0].value);
    EXPECT_TRUE(txn({{"record", first->revision}}, {{"record", "three"}})->succeeded);
}

TEST_F(EtcdTest, ALeaseThatNobodyKeepsTakesItsKeyAlong) {
    auto lease = answer<Etcd::Lease>([&](auto done) { etcd_->grant(1s, done); });
    ASSERT_TRUE(lease);
    ASSERT_TRUE(txn({}, {{"node", "here", *lease}}));
    EXPECT_EQ(*lease, range("node")->keys[0].lease);
    auto ttl = answer<std::chrono::seconds>([&](auto done) { etcd_->keep_alive(*lease, done); });
    ASSERT_TRUE(ttl);
    EXPECT_GE(ttl->count(), 1);
    for (int i = 0; i < 80 && !range("node")->keys.empty(); i++)
        ::usleep(100'000);
    EXPECT_TRUE(range("node")->keys.empty());
    auto gone = answer<std::chrono::seconds>([&](auto done) { etcd_->keep_alive(*lease, done); });
    ASSERT_FALSE(gone);
    EXPECT_TRUE(gone.error().is(ENOENT)) << gone.error().message();
}

TEST_F(EtcdTest, AWatchTellsEveryChangeInOrderUntilTheServerEnds) {
    auto from = range("w/")->revision + 1;
    std::vector<std::string> seen;
    std::optional<Error> ended;
    auto watch = etcd_->watch(
        "w/", from,
        [&](const std::vector<Etcd::KeyValue> &changes) {
            for (const auto &change : changes)
                seen.push_back(change.key + (change.deleted ? " gone" : "=" + change.value));
        },
        [&](const Error &error) { ended = error; });
    for (int i = 0; i < 20; i++)
        ASSERT_TRUE(txn({}, {{"w/" + std::to_string(i % 3), std::to_string(i)}}));
    ASSERT_TRUE(answer<void>([&](auto done) { etcd_->remove("w/0", done); }));
    run_until([&] { return seen.size() == 21; });
    EXPECT_EQ("w/0=0", seen.front());
    EXPECT_EQ("w/0 gone", seen.back());
    server_.stop(SIGKILL);
    run_until([&] { return ended.has_value(); });
    seen.clear();
    // The key space outlives the server.
    server_.start();
    ready();
    EXPECT_EQ(2u, range("w/")->keys.size());
}

TEST_F(EtcdTest, TheNextEndpointAnswersForADeadOne) {
    std::string dead = "http://127.0.0.1:" + std::to_string(EtcdProcess::free_port());
    etcd_ = client({dead, server_.url()});
    EXPECT_TRUE(txn({}, {{"k", "v"}}));
    EXPECT_EQ("v", range("k")->keys[0].value);
    etcd_ = client({dead, dead});
    auto none = range("k");
    ASSERT_FALSE(none);
    EXPECT_TRUE(none.error().is(ECONNREFUSED)) << none.error().message();
    EXPECT_NE(std::string::npos, none.error().message().find(dead));
}

} // namespace
} // namespace ckpt
