#include "timeline.hpp"

#include "calendar.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace safe_deploy {

namespace {

using Part = Timeline::Part;
using Kind = LoggedEvent::Kind;
using Whose = LoggedEvent::Whose;

// The rows in the order in which they are drawn; those that stay empty are left out.
struct Known {
  std::string_view name;
  Part part;
};
constexpr std::array<Known, 14> known_rows{{{"checks", Part::deploy},
                                            {"swap", Part::deploy},
                                            {"stop", Part::deploy},
                                            {"port", Part::deploy},
                                            {"start", Part::deploy},
                                            {"health", Part::deploy},
                                            {"restart", Part::deploy},
                                            {"probation", Part::probation},
                                            {"stop", Part::rollback},
                                            {"swap", Part::rollback},
                                            {"port", Part::rollback},
                                            {"start", Part::rollback},
                                            {"health", Part::rollback},
                                            {"restart", Part::rollback}}};

class Drawing {
 public:
  Drawing(const Deploy& deploy, const std::vector<LoggedEvent>& events, double now)
      : deploy_(deploy),
        events_(events),
        is_open_(deploy.outcome == "under way" || deploy.outcome == "probation") {
    for (const auto& [name, part] : known_rows) rows_.push_back({.name = std::string(name), .part = part});
    find_ends(now);
  }

  Timeline result() {
    add_steps();
    add_units();
    add_gates();
    Timeline timeline{.outcome = deploy_.outcome, .seconds = end_ - begin_, .open = is_open_};
    for (auto& row : rows_) {
      if (row.bars.empty() && row.dots.empty()) continue;
      for (auto& bar : row.bars) {
        bar.begin -= begin_;
        bar.end -= begin_;
      }
      for (auto& dot : row.dots) dot.at -= begin_;
      std::sort(row.bars.begin(), row.bars.end(),
                [](const auto& a, const auto& b) { return a.begin < b.begin; });
      timeline.rows.push_back(std::move(row));
    }
    return timeline;
  }

 private:
  // When a step of this name was, the first one at or after `from`.
  [[nodiscard]] std::optional<double> step(std::string_view event) const {
    for (const auto& each : deploy_.steps)
      if (each.event == event) return seconds_into(deploy_, each);
    return std::nullopt;
  }

  // From where the deploy's unit began to where the last one of its units ended.
  void find_ends(double now) {
    begin_ = 0;
    for (const auto& event : events_) {
      const Whose unit = deploy_.kind == "rollback" ? Whose::rollback : Whose::deploy;
      if (event.whose == unit && event.kind == Kind::starting && event.at <= 0) begin_ = event.at;
    }
    end_ = begin_;
    for (const auto& each : deploy_.steps) end_ = std::max(end_, seconds_into(deploy_, each).value_or(end_));
    for (const auto& event : events_)
      if (event.at > end_) end_ = event.at;
    if (is_open_) end_ = std::max(end_, now);
    rollback_ = deploy_.kind == "rollback" ? std::optional(begin_) : step("rollback-intended");
    for (const auto& event : events_)
      if (rollback_ && event.whose == Whose::rollback && event.kind == Kind::starting && event.at >= begin_ &&
          event.at < *rollback_)
        rollback_ = event.at;
  }

  [[nodiscard]] Part part_at(double at) const {
    return rollback_ && at >= *rollback_ ? Part::rollback : Part::deploy;
  }

  Timeline::Row& row(std::string_view name, Part part) {
    return *std::find_if(rows_.begin(), rows_.end(),
                         [&](const Timeline::Row& each) { return each.name == name && each.part == part; });
  }

  void add(std::string_view name, Part part, double begin, std::optional<double> end) {
    const double from = std::max(begin, begin_);
    row(name, part).bars.push_back({from, std::max(from, end.value_or(end_)), !end && is_open_});
  }

  // What the record tells.
  void add_steps() {
    const auto intended = step("swap-intended");
    const auto swapped = step("swapped");
    const auto passed = step("passed");
    if (intended && begin_ < *intended) add("checks", Part::deploy, begin_, *intended);
    if (intended) add("swap", Part::deploy, *intended, swapped ? swapped : over());
    if (passed) add("probation", Part::probation, *passed, rollback_ ? rollback_ : over());
    const auto back = step("rollback-intended");
    const auto linked = std::find_if(events_.begin(), events_.end(), [&](const LoggedEvent& event) {
      return event.kind == Kind::linked && back && event.at >= *back;
    });
    if (back && linked != events_.end()) add("swap", Part::rollback, *back, linked->at);
    const bool told = std::any_of(events_.begin(), events_.end(),
                                  [](const LoggedEvent& event) { return event.whose == Whose::app; });
    // Without the journal it is only known how long all of it took.
    if (!told && swapped) {
      const auto verdict = passed            ? passed
                           : step("failure") ? step("failure")
                           : rollback_       ? rollback_
                                             : over();
      add("restart", Part::deploy, *swapped, verdict);
    }
    if (!told && rollback_) add("restart", Part::rollback, back.value_or(*rollback_), over());
  }

  // When the deploy came to its end; nothing while it is under way.
  [[nodiscard]] std::optional<double> over() const {
    if (is_open_ || deploy_.steps.empty()) return std::nullopt;
    return seconds_into(deploy_, deploy_.steps.back());
  }

  // What systemd did with the app's unit.
  void add_units() {
    std::optional<double> stopping;
    std::optional<double> starting;
    std::optional<double> rest; // since when it is stopped
    const auto end_stop = [&](double at) {
      if (stopping) add("stop", part_at(*stopping), *stopping, at);
      stopping.reset();
    };
    const auto end_start = [&](double at) {
      if (starting) add("start", part_at(*starting), *starting, at);
      starting.reset();
    };
    for (const auto& event : events_) {
      if (event.whose != Whose::app || event.at < begin_) continue;
      switch (event.kind) {
        case Kind::stopping:
          end_start(event.at);
          stopping = event.at;
          break;
        case Kind::stopped:
          end_start(event.at);
          end_stop(event.at);
          rest = event.at;
          break;
        case Kind::starting:
          end_stop(event.at);
          end_start(event.at);
          starting = event.at;
          break;
        case Kind::started:
          // systemd says "Starting" only of what takes its time.
          if (!starting && rest) starting = rest;
          end_start(event.at);
          break;
        case Kind::failed:
          end_start(event.at);
          end_stop(event.at);
          rest = event.at;
          break;
        case Kind::linked:
        case Kind::port:
        case Kind::health:
          break;
      }
    }
    if (stopping) add("stop", part_at(*stopping), *stopping, std::nullopt);
    if (starting) add("start", part_at(*starting), *starting, std::nullopt);
  }

  // The answers, and how long they were waited for. The gates of guard.conf run within the start of the app's
  // unit, the port's before the health's; that of the deploy follows the start.
  void add_gates() {
    std::optional<double> since; // what is waited for now
    for (std::size_t i = 0; i < events_.size(); ++i) {
      const LoggedEvent& event = events_[i];
      if (event.at < begin_) continue;
      if (event.whose == Whose::app && (event.kind == Kind::starting || event.kind == Kind::started))
        since = event.at;
      if (event.kind != Kind::port && event.kind != Kind::health) continue;
      const bool is_port = event.kind == Kind::port;
      const Part part = event.whose == Whose::watch ? Part::probation : part_at(event.at);
      const std::string_view name = part == Part::probation ? "probation" : is_port ? "port" : "health";
      row(name, part).dots.push_back({event.at, event.yes, event.text});
      if (part == Part::probation || !since) continue;
      if (!is_last_of_its_gate(i)) continue;
      const bool goes_on = is_open_ && !event.yes && i + 1 == events_.size();
      add(name, part, *since, goes_on ? std::nullopt : std::optional(event.at));
      since = event.at;
    }
  }

  // Whether the next thing that happens is no further answer of the same gate.
  [[nodiscard]] bool is_last_of_its_gate(std::size_t i) const {
    for (std::size_t next = i + 1; next < events_.size(); ++next) {
      const LoggedEvent& event = events_[next];
      if (event.kind == events_[i].kind && event.whose == events_[i].whose) return false;
      if (event.kind == Kind::port || event.kind == Kind::health || event.whose == Whose::app) return true;
    }
    return true;
  }

  const Deploy& deploy_;
  const std::vector<LoggedEvent>& events_;
  bool is_open_;
  double begin_ = 0;
  double end_ = 0;
  std::optional<double> rollback_ = {}; // since when
  std::vector<Timeline::Row> rows_ = {};
};

} // namespace

std::optional<double> seconds_into(const Deploy& deploy, const HistoryStep& step) {
  if (deploy.steps.empty()) return std::nullopt;
  const HistoryStep& first = deploy.steps.front();
  if (!step.boot.empty() && step.boot == first.boot) return step.monotonic - first.monotonic;
  const auto begin = parse_recorded(first.at);
  const auto at = parse_recorded(step.at);
  if (!begin || !at) return std::nullopt;
  return static_cast<double>(*at - *begin) / 1000;
}

Timeline timeline_of(const Deploy& deploy, const std::vector<LoggedEvent>& events, double now) {
  return Drawing(deploy, events, now).result();
}

} // namespace safe_deploy
