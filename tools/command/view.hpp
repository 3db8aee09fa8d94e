#pragma once

#include "deadline.hpp"
#include "report.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy::command {

// A part of a deploy, as people speak of it: "checks", "swap", "restart", "health", "verdict", "probation",
// "rollback", "stuck", or a hook by its command.
struct PhaseTime {
  std::string name;
  Clock::time_point began;
  Clock::time_point ended;
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(ended - began).count(); }
};

// What is shown of a deploy while it runs. On a terminal: a line for each phase that is over, and a live one
// for that which runs, with what is awaited and the last answer. Elsewhere a line for each change.
class View {
 public:
  // `shown`: not where only the outcome is asked for.
  View(Reporter& report, std::string app, bool shown);

  // A phase begins, and that before it is over. The one that runs already goes on.
  void begin(const std::string& phase, Clock::time_point when);
  // What is done within the phase: "stopping", "waiting for the port".
  void awaits(const std::string& what);
  // What a tool has said.
  void said(const std::string& line, bool is_warning);
  // The time has gone on.
  void tick();
  void end(Clock::time_point when);

  [[nodiscard]] bool is_shown() const { return shown_; }
  [[nodiscard]] const std::vector<PhaseTime>& phases() const { return phases_; }

 private:
  void close_phase(Clock::time_point when);

  Reporter& report_;
  std::string app_;
  bool shown_;
  Clock::time_point start_ = Clock::now();
  std::vector<PhaseTime> phases_ = {};
  bool is_open_ = false;
  std::string awaited_ = {};
  std::string last_said_ = {};
};

} // namespace safe_deploy::command
