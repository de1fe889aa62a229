// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/log.hh"

#include <unistd.h>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace ckpt {

namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
    case LogLevel::debug:
        return spdlog::level::debug;
    case LogLevel::info:
        return spdlog::level::info;
    case LogLevel::warning:
        return spdlog::level::warn;
    case LogLevel::error:
        return spdlog::level::err;
    }
    return spdlog::level::err;
}

// "%*" in a pattern: sd-daemon(3)'s "<N>".
class PriorityFlag : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg &message, const std::tm &,
                spdlog::memory_buf_t &out) override {
        const char *priority = message.level == spdlog::level::debug  ? "<7>"
                               : message.level == spdlog::level::info ? "<6>"
                               : message.level == spdlog::level::warn ? "<4>"
                                                                      : "<3>";
        out.append(priority, priority + 3);
    }
    std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<PriorityFlag>();
    }
};

class StderrLogger final : public Logger {
  public:
    explicit StderrLogger(LogLevel least)
        : log_("tlckptd", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
        auto formatter = std::make_unique<spdlog::pattern_formatter>();
        formatter->add_flag<PriorityFlag>('*');
        formatter->set_pattern(::isatty(STDERR_FILENO) ? "%H:%M:%S.%e %l: %v" : "%*%v");
        log_.set_formatter(std::move(formatter));
        log_.set_level(spdlog_level(least));
    }

    void write(LogLevel level, std::string_view text) override {
        log_.log(spdlog_level(level), spdlog::string_view_t(text.data(), text.size()));
    }

  private:
    spdlog::logger log_;
};

} // namespace

std::unique_ptr<Logger> make_stderr_logger(LogLevel least) {
    return std::make_unique<StderrLogger>(least);
}

} // namespace ckpt
