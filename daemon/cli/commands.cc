// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/commands.hh"

#include <algorithm>
#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "daemon/cli/kernel.hh"
#include "daemon/cli/render.hh"
#include "daemon/control/messages.hh"

namespace ckpt::cli {

namespace {

using Parsed = tl::expected<void, UsageError>;

// Reads keywords until the line ends; `take(i)` uses keyword number i.
template <typename Take>
Parsed keywords(Words &words, std::span<const std::string_view> names, Take &&take) {
    while (words.more()) {
        auto which = match("Argument", words.take(), names);
        if (!which)
            return tl::unexpected(which.error());
        Parsed taken = take(*which);
        if (!taken)
            return taken;
    }
    return {};
}

Parsed parse_nothing(Words &, Invocation &) { return {}; }

Parsed parse_checkpoint(Words &words, Invocation &invocation) {
    static constexpr std::string_view names[] = {"wait"};
    control::CheckpointRequest request;
    Parsed parsed = keywords(words, names, [&](std::size_t) -> Parsed {
        request.wait = true;
        return {};
    });
    invocation.arguments = request;
    return parsed;
}

Parsed parse_list(Words &words, Invocation &invocation) {
    static constexpr std::string_view names[] = {"last"};
    control::ListRequest request;
    Parsed parsed = keywords(words, names, [&](std::size_t) -> Parsed {
        auto last = words.number("last");
        if (!last)
            return tl::unexpected(last.error());
        request.last = *last;
        return {};
    });
    invocation.arguments = request;
    return parsed;
}

Parsed parse_show(Words &words, Invocation &invocation) {
    auto sn = words.sn();
    if (!sn)
        return tl::unexpected(sn.error());
    invocation.arguments = control::ShowRequest{*sn};
    return {};
}

Parsed parse_restore(Words &words, Invocation &invocation) {
    static constexpr std::string_view names[] = {"guest", "to"};
    control::RestoreRequest request;
    auto sn = words.sn();
    if (!sn)
        return tl::unexpected(sn.error());
    request.sn = *sn;
    Parsed parsed = keywords(words, names, [&](std::size_t which) -> Parsed {
        auto value = words.value(names[which]);
        if (!value)
            return tl::unexpected(value.error());
        (which == 0 ? request.guest : invocation.to) = *value;
        return {};
    });
    request.to_file = !invocation.to.empty();
    invocation.arguments = request;
    return parsed;
}

Parsed parse_gc(Words &words, Invocation &invocation) {
    static constexpr std::string_view names[] = {"dry-run"};
    control::GcRequest request;
    Parsed parsed = keywords(words, names, [&](std::size_t) -> Parsed {
        request.dry_run = true;
        return {};
    });
    invocation.arguments = request;
    return parsed;
}

// Names of nodes up to the end.
Parsed parse_plan(Words &words, Invocation &invocation) {
    control::PlanRequest request;
    while (words.more())
        request.lost.emplace_back(words.take());
    invocation.arguments = request;
    return {};
}

// Gives the reply to `render` as the struct that the protocol says it is.
template <typename Message, int (*render)(const Message &, std::ostream &)>
int render_as(const control::Json &reply, std::ostream &out) {
    auto message = control::decode<Message>(reply);
    return message ? render(*message, out) : kNotUnderstood;
}

int render_checkpoint(const control::Json &reply, std::ostream &out) {
    return reply.contains("prev") ? render_as<control::Checkpoint, render_show>(reply, out)
                                  : render_as<control::Requested, render_requested>(reply, out);
}

constexpr Command kCommands[] = {
    {"status", "", "status", "the daemon, its store and its guests", control::kStatus,
     parse_nothing, render_as<control::StatusReply, render_status>},
    {"guest", "list", "guest [ list ]", "guests of this node, protected or why not",
     control::kGuests, parse_nothing, render_as<control::GuestsReply, render_guests>},
    {"checkpoint", "", "checkpoint [ --wait ]", "take one now; --wait: until it is durable",
     control::kCheckpoint, parse_checkpoint, render_checkpoint},
    {"doctor", "", "doctor", "what would be captured and what not, and what to do about it",
     control::kDoctor, parse_nothing, render_as<control::DoctorReply, render_doctor>},
    {"list", "", "list [ --last N ]", "durable checkpoints", control::kList, parse_list,
     render_as<control::ListReply, render_list>},
    {"show", "", "show SN", "one checkpoint: its guests, stages and sizes", control::kShow,
     parse_show, render_as<control::Checkpoint, render_show>},
    {"restore", "", "restore SN [ --guest GUEST ] [ --to FILE|- ]",
     "guests as they were, by xl restore; --to: as a stream", control::kRestore, parse_restore,
     render_as<control::RestoreReply, render_restore>},
    {"verify", "", "verify", "read everything in the store and check it", control::kVerify,
     parse_nothing, render_as<control::VerifyReply, render_verify>},
    {"gc", "", "gc [ --dry-run ]", "drop what retention does not keep", control::kGc, parse_gc,
     render_as<control::GcReply, render_gc>},
    {"plan", "", "plan [ NODE ]...", "what a recovery would do, if these nodes were lost",
     control::kPlan, parse_plan, render_as<control::PlanReply, render_plan>},
    {"recover", "", "recover", "begin the recovery from the nodes that are lost",
     control::kRecover, parse_nothing, render_as<control::Cluster, render_cluster>},
};

} // namespace

std::span<const Command> commands() {
    static const std::vector<Command> all = [] {
        std::vector<Command> both(std::begin(kCommands), std::end(kCommands));
        std::ranges::copy(kernel_commands(), std::back_inserter(both));
        return both;
    }();
    return all;
}

} // namespace ckpt::cli
