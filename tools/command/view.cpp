#include "view.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy::command {

namespace {

// "12.3s"
std::string seconds_between(Clock::time_point from, Clock::time_point to) {
  const auto tenths =
      std::max<long>(0, std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count() / 100);
  return fmt::format("{}.{}s", tenths / 10, tenths % 10);
}

} // namespace

View::View(Reporter& report, std::string app, bool shown)
    : report_(report), app_(std::move(app)), shown_(shown) {}

void View::begin(const std::string& phase, Clock::time_point when) {
  if (is_open_ && phases_.back().name == phase) return;
  if (is_open_) close_phase(when);
  phases_.push_back({phase, when, when});
  is_open_ = true;
  awaited_.clear();
  last_said_.clear();
  if (!shown_) return;
  if (report_.on_terminal())
    tick();
  else
    report_.progress(fmt::format("[{:>7}] {}", seconds_between(start_, when), phase));
}

void View::awaits(const std::string& what) {
  if (what == awaited_) return;
  awaited_ = what;
  last_said_.clear();
  if (!shown_ || !is_open_ || what.empty()) return;
  if (report_.on_terminal())
    tick();
  else
    report_.progress(
        fmt::format("[{:>7}] {}: {}", seconds_between(start_, Clock::now()), phases_.back().name, what));
}

void View::said(const std::string& line, bool is_warning) {
  last_said_ = line;
  if (!shown_) return;
  if (!report_.on_terminal() || is_warning)
    report_.progress(fmt::format("[{:>7}] {}", seconds_between(start_, Clock::now()), line));
  if (report_.on_terminal()) tick();
}

void View::tick() {
  if (!shown_) return;
  const auto now = Clock::now();
  if (!is_open_) {
    report_.live(fmt::format("[{}] {}: {}", seconds_between(start_, now), app_,
                             last_said_.empty() ? "starting" : last_said_));
    return;
  }
  std::string text = fmt::format("{} {}", phases_.back().name, seconds_between(phases_.back().began, now));
  if (!awaited_.empty()) text += fmt::format(": {}", awaited_);
  if (!last_said_.empty()) text += fmt::format(" ({})", last_said_);
  report_.live(text);
}

void View::end(Clock::time_point when) {
  if (is_open_) close_phase(when);
  report_.wipe_live();
}

void View::close_phase(Clock::time_point when) {
  PhaseTime& phase = phases_.back();
  phase.ended = std::max(when, phase.began);
  is_open_ = false;
  if (shown_ && report_.on_terminal())
    report_.progress(
        fmt::format("{:<10} {:>7}  {}", phase.name, seconds_between(phase.began, phase.ended), last_said_));
}

} // namespace safe_deploy::command
