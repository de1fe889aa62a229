// SPDX-License-Identifier: GPL-2.0-only
// What the workload answers to queries.
#include "tests/workload/json.hh"
#include "tests/workload/workload.hh"

namespace ckpt::workload {

namespace {

void add_counts(Json &json, std::string_view name, const Counts &counts, bool tcp) {
    json.open_object(name).add("messages", counts.messages).add("highest", counts.highest);
    json.add("first", counts.first).add("lost", counts.lost()).add("bytes", counts.bytes);
    if (tcp)
        json.add_hex("connection", counts.connection).add_hex("chain", counts.chain);
    else
        json.add("duplicates", counts.duplicates).add("reordered", counts.reordered);
    json.add("conflicts", counts.conflicts).close_object();
}

void add_snapshot(Json &json, const Snapshot &state, bool disk) {
    json.add("step", state.step).add_hex("digest", state.digest);
    json.open_object("clock");
    for (const auto &[member, events] : state.clock.entries())
        json.add(member.text(), events);
    json.close_object().open_object("peers");
    for (const PeerCounts &peer : state.peers) {
        json.open_object(peer.id.text());
        add_counts(json, "udp_sent", peer.udp_sent, false);
        add_counts(json, "udp_received", peer.udp_received, false);
        add_counts(json, "tcp_sent", peer.tcp_sent, true);
        add_counts(json, "tcp_received", peer.tcp_received, true);
        json.close_object();
    }
    json.close_object();
    if (!disk)
        return;
    json.open_object("disk").add("issued", state.disk.issued).add("done", state.disk.done);
    json.add_hex("chain", state.disk.chain).add("errors", state.disk.errors);
    json.add("checks", state.disk.checks).add("verdict", state.disk.verdict).close_object();
}

void add_mark(Json &json, const Mark &mark, bool disk) {
    json.open_object().add("number", mark.gap.number).add("suspended", mark.gap.suspended);
    json.add("frozen_tsc", mark.gap.tsc).add("frozen_ms", mark.gap.tsc_ms).add("monotonic_ms", mark.gap.monotonic_ms);
    json.add("slept_ms", mark.gap.slept_ms);
    add_snapshot(json, mark.state, disk);
    json.close_object();
}

void add_memory(Json &json, const WorkingSet &memory, const WorkingSetOptions &options) {
    json.open_object("memory").add("verdict", memory.good() ? "ok" : "bad");
    json.add("verified", memory.verified()).add("nr_bad", memory.nr_bad());
    json.add("digest_matches", memory.digest_matches());
    json.add("pages", options.pages).add("seed", options.seed);
    json.add("hot_writes", options.hot_writes).add("hot_pages", options.hot_pages);
    json.open_array("bad");
    for (const BadPage &bad : memory.bad())
        json.open_object()
            .add("page", bad.page)
            .add("expected_step", bad.expected_step)
            .add("found_step", bad.found_step)
            .add("kind", bad.kind)
            .close_object();
    json.close_array().close_object();
}

void add_links(Json &json, const Exchange &exchange) {
    json.open_object("links");
    for (const auto &peer : exchange.peers())
        json.open_object(peer->id.text())
            .add_hex("run", peer->run)
            .add("tcp_up", peer->met)
            .add("tcp_connections", peer->connections)
            .add("tcp_breaks", peer->tcp_breaks)
            .add("tcp_stalled", peer->tcp_stalled)
            .add("tcp_backlog", peer->stream.backlog())
            .add("udp_errors", peer->udp_errors)
            .close_object();
    json.close_object();
    json.add("strangers", exchange.strangers()).add("corrupt", exchange.corrupt());
    json.add("late_of_old_run", exchange.late_of_old_run());
}

void add_events(Json &json, const EventLog &log) {
    json.open_object("event_counts");
    for (const auto &[what, count] : log.counts())
        json.add(what, count);
    json.close_object().open_array("events");
    for (const Event &event : log.events())
        json.open_object()
            .add("number", event.number)
            .add("at_s", event.monotonic_s)
            .add("what", event.what)
            .add("peer", event.peer)
            .add("text", event.text)
            .close_object();
    json.close_array();
}

// Each message as [counter, hash, the sender's clock]: of UDP the message's own digest, of TCP the
// chain up to it, of the present connection only.
void add_history(Json &json, std::string_view name, const Ledger &ledger, bool tcp) {
    json.open_array(name);
    for (const Entry &entry : ledger.history().entries())
        if (entry.counter && (!tcp || entry.connection == ledger.counts().connection))
            json.open_array()
                .add("", entry.counter)
                .add_hex("", tcp ? entry.chain : entry.digest)
                .add("", entry.clock)
                .close_array();
    json.close_array();
}

void add_histories(Json &json, const Exchange &exchange) {
    json.open_object("history");
    for (const auto &peer : exchange.peers()) {
        json.open_object(peer->id.text());
        add_history(json, "udp_sent", peer->udp_sent, false);
        add_history(json, "udp_received", peer->udp_received, false);
        add_history(json, "tcp_sent", peer->tcp_sent, true);
        add_history(json, "tcp_received", peer->tcp_received, true);
        json.close_object();
    }
    json.close_object();
}

} // namespace

std::string Workload::state_json(bool with_history) {
    Json json;
    json.open_object().add("tlckpt_workload", 1U).add("id", options_.id.text()).add_hex("run", run_);
    json.add("uptime_s", static_cast<double>(steady_now().time_since_epoch().count()) / 1e9);
    json.add("talking", talking_);
    add_snapshot(json, snapshot(), disk_ != nullptr);
    add_memory(json, memory_, options_.memory);
    add_links(json, *exchange_);
    json.add("max_gap_ms", gaps_.max_ms()).add("tsc_mhz", gaps_.tsc_mhz());
    json.open_array("marks");
    for (const Mark &mark : marks_)
        add_mark(json, mark, disk_ != nullptr);
    json.close_array();
    add_events(json, log_);
    if (with_history)
        add_histories(json, *exchange_);
    json.close_object();
    return json.text();
}

std::string Workload::answer(const std::string &request) {
    const auto space = request.find(' ');
    const std::string verb = request.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : request.substr(space + 1);
    if (verb == "state")
        return state_json(false);
    if (verb == "verify" || verb == "history") {
        memory_.verify_all();
        return state_json(verb == "history");
    }
    if (verb == "damage" && memory_.damage(0, rest))
        return state_json(false);
    if (verb == "reset-gap")
        gaps_.reset_max();
    else if (verb == "quiet" || verb == "talk")
        talking_ = verb == "talk";
    else if (verb == "check-disk" && disk_)
        disk_->ask_check();
    else if (verb == "quit")
        quit_ = true;
    else
        return R"({"error":"want state, verify, history, reset-gap, quiet, talk, check-disk, quit or damage KIND"})";
    return R"({"done":true})";
}

} // namespace ckpt::workload
