// SPDX-License-Identifier: GPL-2.0-only
// The sequence against a model of the node that knows what is really so: which
// guests are suspended, what sn is, what was captured, what is committed. All
// orders of events for small nodes, and random ones for larger.
#include "libckpt/node/node_sequence.hh"

#include <functional>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace ckpt {
namespace {

using Event = NodeEvent::Type;
using Action = NodeAction::Type;

Error an_error() {
    return fail(EIO, "injected").value();
}

struct ModelGuest {
    NodeOrder order = NodeOrder::none;
    bool suspended = false;
    bool gone = false;
    bool captured = false; // in this attempt
    bool persisted = false;
};

// The world around one NodeSequence. A value: copied to try all branches.
struct Model {
    NodeSequence sequence;
    std::vector<ModelGuest> guests;
    NodeOrder node_order = NodeOrder::none;
    NodeIndexes truth;
    Sn target = 0;
    Sn core_target = 0; // what the core cuts to, if it is above ours
    bool intake_closed = false, timer = false, stopped = false;
    std::set<Sn> committed, captured_told;
    unsigned nr_failed = 0, nr_given_up = 0, nr_discarded = 0, nr_kept = 0;
    std::string broken; // the first rule that was broken

    explicit Model(unsigned max_attempts = 3, NodeIndexes start = {})
        : sequence(start, max_attempts, std::chrono::seconds(1)), truth(start) {}

    void expect(bool condition, const char *rule) {
        if (!condition && broken.empty())
            broken = rule;
    }
    bool any_suspended() const {
        for (const ModelGuest &guest : guests)
            if (guest.suspended)
                return true;
        return false;
    }

    void begin(unsigned nr_guests, bool may_be_empty = false) {
        guests.assign(nr_guests, ModelGuest{});
        NodeActions actions;
        sequence.begin(nr_guests, may_be_empty, actions);
        target = sequence.target();
        perform(actions);
    }

    void handle(Event type, unsigned guest = NodeEvent::kNode, std::optional<Sn> sn = {}) {
        NodeActions actions;
        sequence.handle({type, guest, type == Event::done ? Error{} : an_error(), sn}, actions);
        perform(actions);
    }

    void take_order(const NodeAction &action) {
        if (action.guest == NodeEvent::kNode) {
            expect(node_order == NodeOrder::none, "one order at a time for the node");
            node_order = action.order;
            if (action.order == NodeOrder::close_intake)
                expect(!any_suspended(), "R4: intake closed before any suspend");
            if (action.order == NodeOrder::cut) {
                expect(intake_closed, "R4: cut with closed intake");
                for (const ModelGuest &guest : guests)
                    expect(guest.suspended, "R4: cut only when all are suspended");
            }
            if (action.order == NodeOrder::captured)
                for (const ModelGuest &guest : guests)
                    expect(guest.captured && guest.suspended, "captured told when all are");
            if (action.order == NodeOrder::commit)
                for (const ModelGuest &guest : guests)
                    expect(guest.persisted, "all guests or none: commit of a whole");
            return;
        }
        ModelGuest &guest = guests.at(action.guest);
        expect(guest.order == NodeOrder::none, "one order at a time for a guest");
        expect(!guest.gone, "no order for a guest that is gone");
        guest.order = action.order;
        if (action.order == NodeOrder::suspend)
            expect(intake_closed, "R4: suspend with closed intake");
        if (action.order == NodeOrder::capture)
            expect(truth.sn == target && guest.suspended, "R4: capture after the cut");
        if (action.order == NodeOrder::persist)
            expect(!guest.suspended && guest.captured, "no storage in the pause");
    }

    void perform(const NodeActions &actions) {
        for (const NodeAction &action : actions) {
            switch (action.type) {
            case Action::order:
                take_order(action);
                break;
            case Action::cancel:
                expect(guests.at(action.guest).order != NodeOrder::none, "cancel of something");
                break;
            case Action::open_intake:
                expect(intake_closed, "intake opened once");
                expect(!any_suspended(), "R4: intake opens when all run");
                intake_closed = false;
                break;
            case Action::keep:
                expect(committed.count(target) == 1, "kept what is committed");
                nr_kept++;
                break;
            case Action::discard:
                expect(!any_suspended(), "R7: nobody suspended after a failure");
                nr_discarded++;
                break;
            case Action::start_timer:
                timer = true;
                break;
            case Action::stop_timer:
                timer = false;
                break;
            case Action::report_failed:
                expect(!any_suspended() && !intake_closed, "R7: failure told when all run");
                expect(!action.error.context.empty(), "a failure says why");
                nr_failed++;
                nr_given_up += !action.will_retry;
                expect(action.will_retry || guests.empty() || stopped || truth.sn == truth.captured,
                       "R7: an index that was cut is not given up");
                break;
            }
        }
        expect(sequence.indexes().sn == truth.sn, "sn is what the cut made it");
        expect(sequence.indexes().captured == truth.captured, "captured is what was told");
        expect(sequence.indexes().durable == truth.durable, "durable is what was committed");
        expect(truth.durable <= truth.captured && truth.captured <= truth.sn, "order of indexes");
        if (sequence.step() == NodeStep::idle || sequence.step() == NodeStep::waiting)
            expect(!any_suspended() && !intake_closed && all_idle(), "idle means that all run");
    }

    bool all_idle() const {
        for (const ModelGuest &guest : guests)
            if (guest.order != NodeOrder::none)
                return false;
        return node_order == NodeOrder::none;
    }

    // The guest carries out its order in one of the ways it may.
    void answer(unsigned i, Event how) {
        ModelGuest &guest = guests[i];
        NodeOrder order = std::exchange(guest.order, NodeOrder::none);
        if (how == Event::gone) {
            guest.gone = true;
            guest.suspended = false;
        } else if (order == NodeOrder::resume) {
            guest.suspended = false;
        } else if (how == Event::done) {
            guest.suspended |= order == NodeOrder::suspend;
            guest.captured |= order == NodeOrder::capture;
            guest.persisted |= order == NodeOrder::persist;
        }
        handle(how, i);
    }

    void answer_node(Event how) {
        NodeOrder order = std::exchange(node_order, NodeOrder::none);
        std::optional<Sn> sn;
        if (how == Event::done) {
            if (order == NodeOrder::close_intake)
                intake_closed = true;
            if (order == NodeOrder::cut) {
                sn = target = std::max(target, core_target);
                expect(target >= truth.sn, "sn only rises");
                truth.sn = target;
            }
            if (order == NodeOrder::captured) {
                expect(captured_told.insert(target).second, "an index is captured once");
                truth.captured = target;
            }
            if (order == NodeOrder::commit) {
                truth.durable = target;
                expect(committed.insert(target).second, "an index is committed once");
            }
        }
        handle(how, NodeEvent::kNode, sn);
    }

    // Everything that can happen next, as (who, how) with who = guest or -1
    // for the node, -2 for the timer, -3 for the end of the program.
    std::vector<std::pair<int, Event>> choices() const {
        std::vector<std::pair<int, Event>> result;
        for (unsigned i = 0; i < guests.size(); i++) {
            if (guests[i].order == NodeOrder::none)
                continue;
            result.emplace_back(i, Event::done);
            if (guests[i].order != NodeOrder::resume) {
                result.emplace_back(i, Event::failed);
                result.emplace_back(i, Event::gone);
            }
        }
        if (node_order != NodeOrder::none) {
            result.emplace_back(-1, Event::done);
            result.emplace_back(-1, Event::failed);
        }
        if (timer)
            result.emplace_back(-2, Event::timer);
        if (!stopped)
            result.emplace_back(-3, Event::stop);
        return result;
    }
    void choose(std::pair<int, Event> choice) {
        if (choice.first >= 0)
            return answer(static_cast<unsigned>(choice.first), choice.second);
        if (choice.first == -1)
            return answer_node(choice.second);
        if (choice.first == -2)
            timer = false;
        else
            stopped = true;
        handle(choice.second);
    }

    // What tells this state from others, for the exhaustive search.
    std::string key() const {
        std::string text = fmt::format("{} {} {}{}{} a{} {}/{}/{}", to_string(sequence.step()),
                                       static_cast<int>(node_order), intake_closed, timer, stopped,
                                       sequence.attempt(), truth.sn, truth.captured, truth.durable);
        for (const ModelGuest &guest : guests)
            text += fmt::format(" {}{}{}{}{}", static_cast<int>(guest.order), guest.suspended,
                                guest.gone, guest.captured, guest.persisted);
        return text;
    }
};

void search(const Model &from, std::set<std::string> &seen, std::vector<std::string> &ends) {
    if (!seen.insert(from.key()).second || ::testing::Test::HasFailure())
        return;
    std::vector<std::pair<int, Event>> choices = from.choices();
    bool ended = from.sequence.step() == NodeStep::idle;
    if (ended || from.sequence.attempt() > 1) {
        ends.push_back(from.key());
        return;
    }
    // Only the end of the program is always possible; anything else must be,
    // or the sequence hangs.
    ASSERT_TRUE(choices.size() > (from.stopped ? 0 : 1)) << "stuck: " << from.key();
    for (auto choice : choices) {
        Model next = from;
        next.choose(choice);
        ASSERT_EQ(next.broken, "") << "after " << from.key() << " and " << choice.first << " "
                                   << static_cast<int>(choice.second);
        if (next.sequence.wants_attempt()) {
            unsigned alive = 0;
            for (const ModelGuest &guest : next.guests)
                alive += !guest.gone;
            next.begin(alive);
            ASSERT_EQ(next.broken, "") << "after " << from.key();
        }
        search(next, seen, ends);
    }
}

TEST(NodeSequence, EveryOrderOfEventsWithUpToThreeGuests) {
    std::size_t nr_states = 0;
    for (unsigned nr_guests : {1u, 2u, 3u}) {
        Model model;
        model.sequence.request(CheckpointKind::basic, 0);
        model.begin(nr_guests);
        std::set<std::string> seen;
        std::vector<std::string> ends;
        search(model, seen, ends);
        ASSERT_FALSE(HasFailure());
        EXPECT_FALSE(ends.empty());
        nr_states += seen.size();
    }
    RecordProperty("states", static_cast<int>(nr_states));
    EXPECT_GT(nr_states, 1000u);
}

// Faults come at random for a while, then stop: what was asked for is then
// reached, and everything is at rest.
void random_run(unsigned seed) {
    std::mt19937 random(seed);
    auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    auto one_in = [&](unsigned n) { return below(n) == 0; };
    unsigned fault_rate = 2 + below(30);
    Model model(1 + below(4), {.sn = seed % 3 + 1, .captured = seed % 3, .durable = 0});
    unsigned nr_guests = 1 + below(8);
    Sn wanted = 0;
    for (unsigned events = 0; events < 600; events++) {
        bool faults = events < 300;
        if (faults && one_in(40)) {
            Sn ask = one_in(2) ? 0 : model.truth.captured + 1 + below(3);
            Sn promised = model.sequence.request(static_cast<CheckpointKind>(1 + below(3)), ask);
            ASSERT_GE(promised, ask);
            ASSERT_GT(promised, model.truth.captured);
            wanted = std::max(wanted, promised);
        }
        if (model.sequence.wants_attempt())
            model.begin(nr_guests);
        std::vector<std::pair<int, Event>> good, bad;
        for (auto choice : model.choices()) {
            bool waits = model.sequence.step() == NodeStep::waiting;
            if (choice.second == Event::done || (choice.second == Event::timer && waits))
                good.push_back(choice);
            else if (choice.second != Event::stop)
                bad.push_back(choice);
        }
        if (faults && !bad.empty() && one_in(fault_rate))
            model.choose(bad[below(static_cast<unsigned>(bad.size()))]);
        else if (!good.empty())
            model.choose(good[below(static_cast<unsigned>(good.size()))]);
        else
            ASSERT_EQ(model.sequence.step(), NodeStep::idle);
        ASSERT_EQ(model.broken, "") << "seed " << seed << " event " << events;
    }
    ASSERT_EQ(model.sequence.step(), NodeStep::idle) << "seed " << seed;
    ASSERT_FALSE(model.any_suspended());
    ASSERT_EQ(model.nr_discarded, model.nr_failed) << "seed " << seed;
    ASSERT_EQ(model.nr_kept, model.committed.size());
    if (model.nr_given_up == 0 && wanted > 0) {
        ASSERT_GE(model.truth.durable, wanted) << "seed " << seed;
    }
}

TEST(NodeSequence, RandomFaultsThenRest) {
    for (unsigned seed = 1; seed <= 1000 && !HasFatalFailure(); seed++)
        random_run(seed);
}

// Brings the model through one whole good checkpoint.
void run_good(Model &model) {
    while (model.sequence.step() != NodeStep::idle && model.broken.empty())
        model.choose(model.choices().front());
}

TEST(NodeSequence, PrevIsTheLastCaptureDurableOrNot) { // Rule R9
    Model model;
    EXPECT_EQ(model.sequence.request(CheckpointKind::basic, 0), 1u);
    model.begin(2);
    EXPECT_EQ(model.sequence.prev(), 0u);
    run_good(model);
    EXPECT_EQ(model.truth.durable, 1u);
    EXPECT_EQ(model.sequence.request(CheckpointKind::basic, 0), 2u);
    model.begin(2);
    while (model.node_order != NodeOrder::commit)
        model.choose(model.choices().front());
    model.answer_node(Event::failed); // captured, never durable
    EXPECT_EQ(model.nr_given_up, 1u);
    EXPECT_FALSE(model.sequence.wants_attempt());
    EXPECT_EQ(model.sequence.request(CheckpointKind::basic, 0), 3u) << "2 is not captured twice";
    model.begin(2);
    EXPECT_EQ(model.sequence.prev(), 2u);
    run_good(model);
    EXPECT_EQ(model.truth.durable, 3u);
    EXPECT_EQ(model.broken, "");
}

TEST(NodeSequence, WithoutGuestsACheckpointSaysThatTheyEnded) {
    Model model;
    model.sequence.request(CheckpointKind::forced, 4);
    model.begin(0);
    EXPECT_EQ(model.nr_given_up, 1u) << "nobody asked for an empty one";
    model.sequence.request(CheckpointKind::forced, 4);
    model.begin(0, true);
    run_good(model);
    EXPECT_EQ(model.truth.durable, 4u);
    EXPECT_EQ(model.broken, "");
}

TEST(NodeSequence, AnIndexThatWasCutIsTriedUntilItIsCaptured) { // Rule R7
    Model model(1);
    EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 7), 7u);
    for (unsigned tries = 0; tries < 10; tries++) {
        model.begin(1);
        EXPECT_EQ(model.target, 7u);
        while (model.guests[0].order != NodeOrder::capture)
            model.choose(model.choices().front());
        model.answer(0, Event::failed);
        EXPECT_EQ(model.guests[0].order, NodeOrder::resume);
        model.answer(0, Event::done);
        EXPECT_EQ(model.truth.sn, 7u);
        EXPECT_EQ(model.sequence.step(), NodeStep::waiting);
        if (tries == 4) { // asked for meanwhile: comes after it
            EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 9), 9u);
        }
        model.handle(Event::timer);
        EXPECT_TRUE(model.sequence.wants_attempt());
    }
    model.begin(1);
    run_good(model);
    EXPECT_EQ(model.truth.durable, 7u);
    ASSERT_TRUE(model.sequence.wants_attempt());
    model.begin(1);
    run_good(model);
    EXPECT_EQ(model.truth.durable, 9u);
    EXPECT_EQ(model.broken, "");
}

TEST(NodeSequence, RequestsUnderWayMergeIntoTheNext) { // Rule R3
    Model model;
    EXPECT_EQ(model.sequence.request(CheckpointKind::basic, 0), 1u);
    EXPECT_EQ(model.sequence.request(CheckpointKind::basic, 0), 1u);
    EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 4), 4u);
    model.begin(1);
    EXPECT_EQ(model.target, 4u);
    EXPECT_EQ(model.sequence.kind(), CheckpointKind::forced);
    EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 3), 4u) << "the one under way does";
    EXPECT_EQ(model.sequence.request(CheckpointKind::manual, 0), 5u);
    EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 6), 6u);
    run_good(model);
    ASSERT_TRUE(model.sequence.wants_attempt());
    model.begin(1);
    EXPECT_EQ(model.target, 6u);
    EXPECT_EQ(model.sequence.kind(), CheckpointKind::manual);
    run_good(model);
    EXPECT_FALSE(model.sequence.wants_attempt());
    EXPECT_EQ(model.broken, "");
}

// What the core wanted before its cut is told one by one, and done by that cut.
TEST(NodeSequence, ACutThatGoesHigherDoesWhatWasRequestedBeforeIt) { // Rules R3, R4
    Model model;
    model.sequence.request(CheckpointKind::basic, 3);
    model.begin(1);
    model.core_target = 5;
    EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 4), 4u);
    EXPECT_EQ(model.sequence.request(CheckpointKind::forced, 5), 5u);
    run_good(model);
    EXPECT_EQ(model.truth.durable, 5u);
    EXPECT_FALSE(model.sequence.wants_attempt());
    model.sequence.request(CheckpointKind::forced, 6);
    ASSERT_TRUE(model.sequence.wants_attempt());
    EXPECT_EQ(model.broken, "");
}

TEST(NodeSequence, WithoutGuestsTheRequestIsGivenUp) {
    Model model;
    model.sequence.request(CheckpointKind::manual, 0);
    model.begin(0);
    EXPECT_EQ(model.nr_given_up, 1u);
    EXPECT_EQ(model.sequence.step(), NodeStep::idle);
    EXPECT_FALSE(model.sequence.wants_attempt());
}

} // namespace
} // namespace ckpt
