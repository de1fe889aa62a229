// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cli/arguments.hh"

#include <algorithm>
#include <charconv>
#include <ostream>

#include <fmt/format.h>

namespace ckpt::cli {

namespace {

template <typename... Args>
tl::unexpected<UsageError> wrong(fmt::format_string<Args...> format, Args &&...args) {
    return tl::unexpected(fmt::format(format, std::forward<Args>(args)...));
}

std::string_view without_dashes(std::string_view word) {
    for (int i = 0; i < 2 && word.starts_with('-'); i++)
        word.remove_prefix(1);
    return word;
}

// Options before the object. True when one says that nothing else is wanted.
tl::expected<bool, UsageError> parse_options(Words &words, Invocation &invocation) {
    static constexpr std::string_view names[] = {"json", "pretty",     "socket", "Version",
                                                 "help", "statistics", "s",      "batch"};
    while (words.more() && words.peek().starts_with('-')) {
        std::string word = words.take();
        auto which = match("Option", word, names);
        if (!which)
            return tl::unexpected(which.error());
        switch (*which) {
        case 0:
            invocation.json = true;
            break;
        case 1:
            invocation.pretty = true;
            break;
        case 2: {
            auto path = words.value(word);
            if (!path)
                return tl::unexpected(path.error());
            invocation.socket = *path;
            break;
        }
        case 3:
            invocation.version = true;
            return true;
        case 5:
        case 6: // as iproute2's tools
            invocation.statistics = true;
            break;
        case 7: {
            auto path = words.value(word);
            if (!path)
                return tl::unexpected(path.error());
            invocation.batch = *path;
            return true;
        }
        default:
            return true;
        }
    }
    return false;
}

// The distinct values of `field` among the commands of `object` ("": of all).
std::vector<std::string_view> names_of(std::span<const Command> commands,
                                       const char *Command::*field, std::string_view object) {
    std::vector<std::string_view> names;
    for (const Command &command : commands)
        if ((object.empty() || command.object == object) &&
            std::ranges::find(names, command.*field) == names.end())
            names.push_back(command.*field);
    return names;
}

} // namespace

tl::expected<std::string, UsageError> Words::value(std::string_view keyword) {
    if (!more())
        return wrong("\"{}\" wants a value", keyword);
    return take();
}

tl::expected<std::uint64_t, UsageError> Words::number(std::string_view keyword) {
    auto word = value(keyword);
    if (!word)
        return tl::unexpected(word.error());
    std::uint64_t number = 0;
    const char *end = word->data() + word->size();
    auto [at, error] = std::from_chars(word->data(), end, number);
    if (error != std::errc() || at != end)
        return wrong("argument \"{}\" is wrong: {} is a number", *word, keyword);
    return number;
}

tl::expected<std::uint64_t, UsageError> Words::sn() {
    if (!more())
        return wrong("which checkpoint? An index is wanted, as \"tlckptctl list\" shows them");
    return number("SN");
}

tl::expected<std::size_t, UsageError> match(std::string_view what, std::string_view word,
                                            std::span<const std::string_view> names) {
    std::string_view plain = without_dashes(word);
    std::string candidates;
    std::size_t found = names.size(), nr_found = 0;
    for (std::size_t i = 0; i < names.size(); i++) {
        if (names[i] == plain)
            return i;
        if (plain.empty() || !names[i].starts_with(plain))
            continue;
        candidates += fmt::format("{}\"{}\"", nr_found++ ? ", " : "", names[i]);
        found = i;
    }
    if (nr_found > 1)
        return wrong("{} \"{}\" is ambiguous: {}", what, word, candidates);
    if (nr_found == 0)
        return wrong("{} \"{}\" is unknown, try \"tlckptctl help\"", what, word);
    return found;
}

tl::expected<Invocation, UsageError> parse_command_line(std::vector<std::string> arguments,
                                                        std::span<const Command> commands) {
    Invocation invocation;
    Words words(std::move(arguments));
    auto ends = parse_options(words, invocation);
    if (!ends)
        return tl::unexpected(ends.error());
    if (*ends && !invocation.batch.empty() && words.more())
        return wrong("argument \"{}\" is one too many: the batch has the commands", words.peek());
    if (*ends)
        return invocation;
    if (!words.more())
        return wrong("what is to be done? Try \"tlckptctl help\"");

    auto objects = names_of(commands, &Command::object, "");
    objects.push_back("help");
    auto object = match("Object", words.take(), objects);
    if (!object)
        return tl::unexpected(object.error());
    bool help_follows = words.more() && without_dashes(words.peek()) == "help";
    if (objects[*object] == "help" || help_follows)
        return invocation;
    auto actions = names_of(commands, &Command::action, objects[*object]);
    std::size_t action = 0; // the first is what an object does by itself
    if (!actions[0].empty() && words.more()) {
        auto which = match("Action", words.take(), actions);
        if (!which)
            return tl::unexpected(which.error());
        action = *which;
    }
    invocation.command = &*std::ranges::find_if(commands, [&](const Command &command) {
        return command.object == objects[*object] && command.action == actions[action];
    });
    if (auto parsed = invocation.command->parse(words, invocation); !parsed)
        return tl::unexpected(parsed.error());
    if (words.more())
        return wrong("argument \"{}\" is one too many, try \"tlckptctl help\"", words.peek());
    return invocation;
}

void print_usage(std::ostream &out, std::span<const Command> commands) {
    out << "Usage: tlckptctl [ OPTIONS ] OBJECT ...\n"
           "       OPTIONS := { -j[son] | -p[retty] | -s[tatistics] | -so[cket] PATH |\n"
           "                    -V[ersion] | -h[elp] }\n"
           "       tlckptctl [ OPTIONS ] -b[atch] FILE   a command on each line; \"-\": standard "
           "input\n\n";
    for (const Command &command : commands)
        if (*command.usage)
            out << fmt::format("  {:<44} {}\n", command.usage, command.help);
    out << "\nWords may be shortened: \"tlckptctl ch --w\". Exit codes: 0 done, 1 refused or "
           "failed,\n2 the daemon can't be reached, 255 wrong usage; doctor: 1 refused, 3 warnings only.\n";
}

} // namespace ckpt::cli
