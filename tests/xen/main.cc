// SPDX-License-Identifier: GPL-2.0-only
// tlckpt-xen-probe: the Xen backend at work, for rig scenarios and developers.
//
//   tlckpt-xen-probe list
//   tlckpt-xen-probe recover GUEST...
//   tlckpt-xen-probe run [--count N] [--interval MS] [--rounds MS] [--verify]
//                        [--timeout MS] [--hold MS] [--await FILE]
//                        [--hold-until FILE] [--keep K]... [--to DIRECTORY] GUEST...
//
// Ends with 0 if all is well, 1 on an error, 2 if verification found a page
// that differs without explanation.
#include <string>
#include <vector>

#include "libckpt/vm/xen_backend.hh"
#include "tests/xen/run.hh"

namespace ckpt::test {
namespace {

constexpr const char *kKinds[] = {"?", "pv", "pvh", "hvm", "process"};
constexpr const char *kTracking[] = {"none", "log-dirty", "compare", "write-protect"};
constexpr const char *kStates[] = {"running", "paused", "suspended", "crashed", "dying"};

Status list(GuestBackend &backend) {
    fmt::print("{}\n", backend.name());
    for (const GuestInfo &guest : CKPT_TRY(backend.list()))
        fmt::print("{} {} domid {} {} {} {} {} pages below {:#x} {} vcpus{}{}\n",
                   guest.uuid.to_string(), guest.name, guest.domid,
                   kKinds[static_cast<unsigned>(guest.kind)],
                   kTracking[static_cast<unsigned>(guest.tracking)],
                   kStates[static_cast<unsigned>(guest.state)], guest.nr_pages, guest.pfn_limit,
                   guest.nr_vcpus, guest.refusal.empty() ? "" : " refused: ", guest.refusal);
    return {};
}

Status recover(GuestBackend &backend, const std::vector<std::string> &names) {
    std::vector<Uuid> uuids;
    for (const GuestInfo &guest : CKPT_TRY(backend.list()))
        for (const std::string &name : names)
            if (guest.name == name)
                uuids.push_back(guest.uuid);
    fmt::print("{} resumed\n", CKPT_TRY(backend.recover(uuids)));
    return {};
}

Result<int> act(const std::vector<std::string> &words) {
    RunOptions options;
    auto number = [&](std::size_t i) {
        return i < words.size() ? static_cast<unsigned>(std::strtoul(words[i].c_str(), nullptr, 10)) : 0;
    };
    for (std::size_t i = 1; i < words.size(); i++) {
        if (words[i] == "--count")
            options.count = number(++i);
        else if (words[i] == "--interval")
            options.interval_ms = number(++i);
        else if (words[i] == "--rounds")
            options.round_ms = number(++i);
        else if (words[i] == "--timeout")
            options.timeout_ms = number(++i);
        else if (words[i] == "--hold")
            options.hold_ms = number(++i);
        else if (words[i] == "--keep")
            options.keep.insert(number(++i));
        else if (words[i] == "--to" && i + 1 < words.size())
            options.directory = words[++i];
        else if (words[i] == "--await" && i + 1 < words.size())
            options.await = words[++i];
        else if (words[i] == "--hold-until" && i + 1 < words.size())
            options.hold_until = words[++i];
        else if (words[i] == "--verify")
            options.verify = true;
        else if (words[i][0] == '-')
            return fail(EINVAL, "{}", words[i]);
        else
            options.guests.push_back(words[i]);
    }
    const std::string verb = words.empty() ? "" : words[0];
    if (verb != "list" && (options.guests.empty() || (verb != "run" && verb != "recover")))
        return fail(EINVAL, "usage: tlckpt-xen-probe list | recover GUEST... | run [OPTIONS] GUEST...");
    auto backend = CKPT_TRY(open_xen_backend());
    if (verb == "list")
        CKPT_CHECK(list(*backend));
    else if (verb == "recover")
        CKPT_CHECK(recover(*backend, options.guests));
    else if (!CKPT_TRY(run_checkpoints(*backend, options)))
        return 2;
    return 0;
}

} // namespace
} // namespace ckpt::test

int main(int argc, char **argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    const auto done = ckpt::test::act(std::vector<std::string>(argv + 1, argv + argc));
    if (!done.has_value()) {
        fmt::print(stderr, "tlckpt-xen-probe: {}\n", done.error().message());
        return 1;
    }
    return *done;
}
