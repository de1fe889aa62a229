// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/protocol/recovery.hh"

#include <algorithm>

#include "libckpt/base/assert.hh"

namespace ckpt {
namespace {

constexpr std::size_t kHistory = 64;

bool contains(const std::vector<Host> &hosts, const Host &host) {
    return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
}

} // namespace

Recovery::Recovery(Self self, Placement place)
    : self_(self.host), place_(std::move(place)), applied_(self.applied),
      thawed_(self.applied && self.thawed), member_(self.applied.has_value()) {}

Record Recovery::founding(const std::vector<Host> &live) {
    Record record;
    record.live = live;
    for (const Host &host : live)
        record.places.push_back({host.node, host.node, {}});
    return record;
}

std::vector<RecoveryAction> Recovery::step(const RecoveryEvent &event) {
    actions_.clear();
    std::visit([this](const auto &e) { on(e); }, event);
    if (record_known_ && !said_.stand_down) {
        take_part();
        if (leads())
            lead();
    }
    return std::move(actions_);
}

// ---- what is known

void Recovery::on(const HostsUp &event) {
    up_ = std::set<Host>(event.up.begin(), event.up.end());
    // Its lease has run out: the others act on that, and nobody fences a newcomer.
    if (!up_.contains(self_) && !said_.stand_down) {
        actions_.push_back(StandDown{});
        said_.stand_down = true;
    }
}

void Recovery::on(const RecordSeen &event) {
    // Watches may tell an older record late.
    if (record_known_ && event.revision <= revision_)
        return;
    if (!record_known_ || event.record.incarnation != record_.incarnation) {
        own_report_.reset();
        reports_.clear();
        fenced_.clear();
        histories_.clear();
        done_.clear();
        said_ = {};
    }
    record_ = event.record;
    revision_ = event.revision;
    record_known_ = true;
    member_ = member_ || contains(record_.live, self_);
}

void Recovery::on(const Settled &event) {
    if (event.incarnation != record_.incarnation || record_.stage != Stage::gather)
        return;
    Report report{self_, record_.incarnation, {}};
    // What an earlier boot of this node ran counts as lost with it.
    const bool booted_again = std::any_of(record_.failed.begin(), record_.failed.end(),
                                          [&](const Host &h) { return h.node == self_.node; });
    for (const GuestGroup &group : booted_again ? std::vector<GuestGroup>{} : event.groups)
        report.groups.push_back(after(group, record_.pending, applied_.value_or(0)));
    own_report_ = std::move(report);
}

void Recovery::on(const ReportSeen &event) {
    if (event.report.incarnation == record_.incarnation)
        reports_[event.report.host] = event.report;
}

void Recovery::on(const FenceConfirmed &event) {
    fenced_.insert(event.host);
}

void Recovery::on(const HistoryRead &event) {
    if (!fenced_.contains(event.host))
        return; // of an earlier recovery: read again behind this one's fence
    std::vector<GuestGroup> &groups = histories_[event.host];
    groups.clear();
    for (const GuestGroup &group : event.groups) {
        groups.push_back(after(group, record_.pending, record_.incarnation));
        groups.back().present.reset();
    }
}

void Recovery::on(const Applied &event) {
    applied_ = std::max(applied_.value_or(0), event.incarnation);
    thawed_ = true;
}

void Recovery::on(const DoneSeen &event) {
    if (event.incarnation == record_.incarnation)
        done_.insert(event.host);
}

void Recovery::on(const Retry &) {
    said_ = {};
}

bool Recovery::leads() const {
    // Rule R15: whoever lives can, with the same inputs; one does, to keep it quiet.
    // If none of the cluster is left, the first that boots again.
    const Host *leader = nullptr;
    for (const Host &host : record_.live)
        if (up_.contains(host) && (!leader || host < *leader))
            leader = &host;
    if (!leader && !up_.empty())
        leader = &*up_.begin();
    return leader && *leader == self_;
}

std::vector<Host> Recovery::lost() const {
    std::vector<Host> lost;
    for (const Host &host : record_.live)
        if (!up_.contains(host))
            lost.push_back(host);
    return lost;
}

std::vector<Host> Recovery::newcomers() const {
    std::vector<Host> hosts;
    for (const Host &host : up_)
        if (!contains(record_.live, host) && !contains(record_.failed, host))
            hosts.push_back(host);
    return hosts;
}

std::vector<GroupId> Recovery::groups_on(NodeId node) const {
    std::vector<GroupId> groups;
    for (const Place &place : record_.decided_places())
        if (place.node == node)
            groups.push_back(place.group);
    return groups;
}

// ---- the part of every node

void Recovery::take_part() {
    // Declared failed while it was not, so others have its guests.
    const bool excluded = member_ && !contains(record_.live, self_);
    const bool missed_one = applied_ && *applied_ < record_.done;
    if (excluded || missed_one) {
        if (!said_.stand_down)
            actions_.push_back(StandDown{});
        said_.stand_down = true;
        return;
    }
    if (!contains(record_.live, self_))
        return; // the leader lets it in
    if (record_.stage == Stage::gather)
        take_part_in_gather();
    else if (record_.stage == Stage::decided)
        take_part_in_decided();
    else if (!thawed_ && !said_.apply) {
        said_.apply = true;
        actions_.push_back(what_to_apply());
    }
}

void Recovery::take_part_in_gather() {
    if (!own_report_) {
        if (!said_.freeze)
            actions_.push_back(Freeze{record_.incarnation});
        said_.freeze = true;
        thawed_ = false;
    } else if (!said_.report) {
        actions_.push_back(PublishReport{*own_report_});
        said_.report = true;
    }
}

void Recovery::take_part_in_decided() {
    if (!thawed_ || applied_.value_or(0) < record_.incarnation) {
        if (!said_.apply)
            actions_.push_back(what_to_apply());
        said_.apply = true;
    } else if (!said_.done) {
        actions_.push_back(PublishDone{record_.incarnation});
        said_.done = true;
    }
}

// The groups that ran here in the incarnation that this host is in.
std::set<GroupId> Recovery::running_groups() const {
    std::set<GroupId> groups;
    if (!applied_)
        return groups;
    const std::vector<Place> *places = &record_.places;
    for (const Decision &decision : record_.pending)
        if (decision.incarnation <= *applied_)
            places = &decision.places;
    for (const Place &place : *places)
        if (place.node == self_.node)
            groups.insert(place.group);
    return groups;
}

// One decision as the core of this host takes it. `here`: the groups that are here
// before it, replaced by those that are here after it.
tlckpt_rollback Recovery::core_step(const Decision &decision, const std::set<GroupId> &running,
                                    std::set<GroupId> &here) const {
    tlckpt_rollback step{decision.k, 0, 0, decision.incarnation, decision.previous};
    // Whose state is the node's: of the guests that run, else of those that were put
    // here by the decision before, else of those that arrive.
    const bool some_run = std::any_of(here.begin(), here.end(),
                                      [&](GroupId group) { return running.contains(group); });
    bool stays = false;
    std::set<GroupId> then;
    for (const Place &place : decision.places) {
        if (place.node != self_.node)
            continue;
        // It stayed under an earlier boot of this node: a later decision brings it back.
        if (!place.member && !here.contains(place.group))
            continue;
        then.insert(place.group);
        if (!(some_run ? running : here.empty() ? then : here).contains(place.group))
            continue;
        stays = stays || !place.member;
        if (place.member && (!step.member || *place.member < step.member))
            step.member = *place.member;
    }
    here = std::move(then);
    if (stays)
        step.member = 0;
    else if (!step.member)
        step.member = decision.k; // a node without guests stands on any line
    return step;
}

Apply Recovery::what_to_apply() const {
    Apply apply{record_.stage == Stage::idle ? record_.done : record_.incarnation, {}, {}};
    if (!applied_)
        for (const PastRollback &past : record_.history)
            apply.steps.push_back({past.k, past.k, 0, past.incarnation, past.previous});
    std::map<GroupId, Restore> restores;
    const std::set<GroupId> running = running_groups();
    std::set<GroupId> here = running;
    Sn captured = 0; // as the core will have it; 0: as it is
    for (const Decision &decision : record_.pending) {
        if (decision.incarnation <= applied_.value_or(0))
            continue;
        for (const Place &place : decision.places)
            if (place.member)
                restores[place.group] = {place.group, *place.member, decision.k};
        apply.steps.push_back(core_step(decision, running, here));
        captured = apply.steps.back().member ? apply.steps.back().member : captured;
    }
    // Guests that arrive with a higher index than the node's own: before any of them
    // runs, the node cuts above them all.
    Sn highest = 0;
    for (GroupId group : here)
        if (auto restore = restores.find(group); restore != restores.end()) {
            apply.restores.push_back(restore->second);
            highest = std::max(highest, restore->second.index);
        }
    if (highest > captured)
        apply.steps.back().raise = highest + 1;
    return apply;
}

// ---- the part of the one that leads

void Recovery::propose(Record record) {
    if (said_.proposal == revision_)
        return;
    said_.proposal = revision_;
    actions_.push_back(Propose{std::move(record), revision_});
}

Record Recovery::gather(const std::vector<Host> &lost) const {
    Record next = record_;
    next.stage = Stage::gather;
    next.incarnation = record_.incarnation + 1;
    // What was decided took care of the failures before it.
    if (record_.stage != Stage::gather)
        next.failed.clear();
    next.failed.insert(next.failed.end(), lost.begin(), lost.end());
    std::erase_if(next.live, [&](const Host &host) { return contains(lost, host); });
    for (const Host &host : newcomers())
        next.live.push_back(host);
    return next;
}

void Recovery::lead() {
    // Rule R15: a further failure makes a new record with a higher incarnation.
    if (const auto hosts = lost(); !hosts.empty())
        return propose(gather(hosts));
    if (record_.stage == Stage::gather)
        return lead_gather();
    if (record_.stage == Stage::decided)
        return lead_decided();
    Record next = record_;
    for (const Host &host : newcomers())
        next.live.push_back(host);
    give_groups(next);
    if (next != record_)
        propose(std::move(next));
}

// A host's new guests need a group there: one that is new to the cluster brings its
// own; one whose guests others have taken over begins another.
void Recovery::give_groups(Record &record) const {
    for (const Host &host : record.live) {
        auto placed = [&](auto member, auto value) {
            return std::any_of(record.places.begin(), record.places.end(),
                               [&](const Place &place) { return place.*member == value; });
        };
        if (placed(&Place::node, host.node))
            continue;
        const bool known = placed(&Place::group, host.node);
        record.places.push_back(
            {group_id(host.node, known ? record.incarnation : 0), host.node, {}});
    }
}

bool Recovery::all_reported() const {
    return std::all_of(record_.live.begin(), record_.live.end(),
                       [this](const Host &host) { return reports_.contains(host); });
}

void Recovery::lead_gather() {
    // Rule R14: nobody reads what a failed host left before it is fenced.
    bool known = true;
    for (const Host &host : record_.failed) {
        if (!fenced_.contains(host)) {
            if (said_.fence.insert(host).second)
                actions_.push_back(Fence{host});
        } else if (!histories_.contains(host) && said_.read.insert(host).second) {
            actions_.push_back(ReadHistory{host, groups_on(host.node)});
        }
        known = known && histories_.contains(host);
    }
    if (!known || !all_reported())
        return;

    PlanInput input;
    input.incarnation = record_.incarnation;
    input.previous = record_.decided_incarnation();
    input.live = record_.live;
    input.place = place_;
    for (const Host &host : record_.live)
        input.reports.push_back(reports_.at(host));
    std::set<GroupId> taken; // a node that failed twice is read twice
    for (const Host &host : record_.failed)
        for (const GuestGroup &group : histories_.at(host))
            if (taken.insert(group.id).second)
                input.lost.push_back(group);

    Result<Plan> plan = make_plan(input);
    if (plan) {
        Record next = record_;
        next.stage = Stage::decided;
        next.pending.push_back(plan->decision);
        return propose(std::move(next));
    }
    // More room is there now: begin again with it.
    if (plan.error().is(EBUSY) && !newcomers().empty())
        return propose(gather({}));
    if (!said_.stuck)
        actions_.push_back(Stuck{plan.error()});
    said_.stuck = true;
}

void Recovery::lead_decided() {
    for (const Host &host : record_.live)
        if (!done_.contains(host))
            return;
    Record next = record_;
    next.stage = Stage::idle;
    next.done = record_.incarnation;
    for (const Decision &decision : record_.pending)
        next.history.push_back({decision.incarnation, decision.previous, decision.k});
    if (next.history.size() > kHistory)
        next.history.erase(next.history.begin(), next.history.end() - kHistory);
    next.places = record_.decided_places();
    next.pending.clear();
    next.failed.clear();
    propose(std::move(next));
}

} // namespace ckpt
