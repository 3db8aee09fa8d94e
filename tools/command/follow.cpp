#include "follow.hpp"

#include "bus.hpp"
#include "event.hpp"
#include "journal.hpp"
#include "name.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace safe_deploy::command {

namespace {

// What the units logged last may still be on its way into the journal when they have ended. Where all went
// well nobody waits for it longer than for the eye; where it did not, the last words are worth more.
constexpr auto patience_when_good = std::chrono::milliseconds(10);
constexpr auto patience_when_failed = std::chrono::milliseconds(100);

// Which lines of a service run in a state (SubState, org.freedesktop.systemd1(5)); empty if none.
std::string_view lines_of_state(std::string_view sub_state) {
  if (sub_state == "condition") return "ExecCondition";
  if (sub_state == "start-pre") return "ExecStartPre";
  if (sub_state == "start") return "ExecStart";
  if (sub_state == "start-post") return "ExecStartPost";
  return "";
}

// What the app's unit is at, in its own SubState.
std::string_view what_app_does(std::string_view sub_state) {
  if (sub_state == "start-pre") return "waiting for the port";
  if (sub_state == "start") return "starting";
  if (sub_state == "start-post") return "health gate";
  if (sub_state == "running" || sub_state == "exited") return "started";
  if (sub_state == "dead") return "stopped";
  if (sub_state == "failed") return "failed";
  if (sub_state.starts_with("auto-restart")) return "failed, to be started again";
  if (sub_state.starts_with("stop") || sub_state.starts_with("final")) return "stopping";
  return "";
}

std::string name_of(const CommandRun& run) {
  return run.path.substr(run.path.rfind('/') + 1);
}

std::string phase_of_deploy(std::string_view lines, const std::string& command) {
  if (command == "preflight" || lines == "ExecCondition") return "checks";
  if (command == "state-capture") return "evidence";
  if (command == "atomic-link") return "swap";
  if (command == "health-wait") return "health";
  if (command == "release-mark") return "verdict";
  if (command == "systemctl") return lines == "ExecStart" ? "restart" : "verdict";
  return fmt::format("hook {}", printable(command, 40));
}

std::string step_of_rollback(const CommandRun& run) {
  const std::string command = name_of(run);
  const auto verb = [&](std::string_view word) {
    return std::find(run.arguments.begin(), run.arguments.end(), word) != run.arguments.end();
  };
  if (command == "rollback-link") return "link";
  if (command == "health-wait") return "health";
  if (command == "release-mark") return "verdict";
  if (command == "state-capture") return "evidence";
  if (command == "systemctl") return verb("stop") ? "stopping" : "starting";
  return printable(command, 40);
}

class Follower {
 public:
  Follower(const Config& config, const ToFollow& what, View& view, Reporter& report)
      : config_(config),
        what_(what),
        view_(view),
        report_(report),
        units_{deploy_unit(config.app), rollback_unit(config.app), stuck_unit(config.app)} {}

  Result<Followed> run() {
    auto bus = Bus::open_system();
    if (!bus) return forward_error(bus);
    bus_ = &*bus;
    if (auto free = nothing_is_at_work(); !free) return forward_error(free);
    const BlockedSignals blocked; // from before anything is left behind
    auto loop = EventLoop::create();
    if (!loop) return forward_error(loop);
    loop_ = &*loop;
    std::optional<JournalFollower> journal;
    follow_journal(journal);
    for (const int signal : {SIGTERM, SIGINT}) {
      loop->on_signal(signal, [this, signal] {
        followed_.signal = signal;
        loop_->stop();
      });
    }
    if (auto attached = bus->attach(*loop); !attached) return forward_error(attached);
    look_timer_ = loop->add_timer([this] { look_at_lines(); });
    drain_timer_ = loop->add_timer([this] { drain(); });
    tick_timer_ = loop->add_timer([this] { tick(); });
    if (auto listening = listen(); !listening) return forward_error(listening);
    // The one clock that ticks is that of the display.
    if (view_.is_shown() && report_.on_terminal()) loop->arm(tick_timer_, Clock::now());
    if (what_.before_start)
      if (auto prepared = what_.before_start(); !prepared) return forward_error(prepared);
    if (auto job = bus->queue_job("StartUnit", what_.unit); !job) {
      if (is_refusal(job.error()) && what_.on_refused) what_.on_refused();
      return not_started(job.error());
    }
    auto ran = loop->run();
    view_.end(Clock::now());
    if (!ran) return forward_error(ran);
    return followed_;
  }

 private:
  Result<void> nothing_is_at_work() {
    for (const auto& unit : units_) {
      auto state = bus_->unit(unit);
      if (!state) return forward_error(state);
      if (state->is_busy()) return fail(Outcome::busy, config_.app, fmt::format("{} is at work", unit));
      if (unit != what_.unit || state->load_state == "loaded") continue;
      if (state->load_state == "masked")
        return fail(Outcome::no, unit, fmt::format("is masked: 'systemctl unmask {}' allows it again", unit));
      return fail(Outcome::os_error, unit, fmt::format("cannot be started: {}", state->load_state));
    }
    return {};
  }

  // Where the answer is lost the unit may be started all the same.
  static bool is_refusal(const Error& error) {
    const auto lost = {std::errc::timed_out, std::errc::connection_reset, std::errc::not_connected,
                       std::errc::broken_pipe};
    return std::none_of(lost.begin(), lost.end(), [&](std::errc each) { return error.code == each; });
  }

  tl::unexpected<Error> not_started(const Error& error) const {
    if (error.code != std::errc::permission_denied || geteuid() == 0) return tl::unexpected<Error>(error);
    return fail_errno(what_.unit,
                      "cannot be started: it takes root, or a member of the group safe-deploy where polkitd "
                      "is installed",
                      EACCES);
  }

  Result<void> listen() {
    std::vector<std::string> watched = units_;
    watched.push_back(watch_unit(config_.app));
    watched.push_back(config_.unit);
    auto on_change = [this](const std::string& unit, const UnitState& changed) { on_unit(unit, changed); };
    if (auto listening = bus_->on_units_changed(watched, on_change); !listening) return listening;
    return bus_->on_job_removed(
        [this](const std::string& ended, const std::string& result) { on_job(ended, result); });
  }

  // --- phases

  void on_unit(const std::string& unit, const UnitState& changed) {
    if (journal_ != nullptr) read_journal();
    if (unit == config_.unit) {
      const std::string does(what_app_does(changed.sub_state));
      // Signals tell of what has not changed as well.
      if (does.empty() || does == app_does_) return;
      app_does_ = does;
      // Of a rollback the lines of its unit tell the rest.
      const bool is_awaited = does == "waiting for the port" || does == "health gate";
      if (phase_ == "restart" || (phase_ == "rollback" && is_awaited)) view_.awaits(does);
      return;
    }
    if (!changed.sub_state.empty()) sub_states_[unit] = changed.sub_state;
    if (unit == watch_unit(config_.app)) on_watch(changed);
    if (lines_of_state(sub_states_[unit]).empty()) return;
    // Several signals come for one change: their answer is the same.
    to_look_at_.insert(unit);
    loop_->arm(look_timer_, Clock::now());
  }

  // systemd keeps when each line was started: none is too short to be seen.
  void look_at_lines() {
    const std::set<std::string> units = std::exchange(to_look_at_, {});
    for (const auto& unit : units) {
      const std::string lines(lines_of_state(sub_states_[unit]));
      if (lines.empty()) continue;
      const auto runs = bus_->commands(unit, lines);
      if (!runs) continue;
      for (const auto& run : *runs)
        if (run.started != Clock::time_point{} && run.started >= start_) note(unit, lines, run);
    }
  }

  void note(const std::string& unit, const std::string& lines, const CommandRun& run) {
    if (run.started <= last_noted_) return;
    last_noted_ = run.started;
    const bool rolls_back = unit == rollback_unit(config_.app);
    phase_ = rolls_back                        ? (lines == "ExecCondition" ? phase_ : "rollback")
             : unit == stuck_unit(config_.app) ? "stuck"
             : unit == watch_unit(config_.app) ? "probation"
                                               : phase_of_deploy(lines, name_of(run));
    if (!phase_.empty()) view_.begin(phase_, run.started);
    if (rolls_back && lines != "ExecCondition") view_.awaits(step_of_rollback(run));
  }

  // --- the journal

  void follow_journal(std::optional<JournalFollower>& journal) {
    auto opened = JournalFollower::open(matches());
    if (!opened) {
      if (!view_.is_shown()) return;
      report_.say(Priority::notice,
                  fmt::format("{}; the phases are shown all the same", opened.error().text()));
      return;
    }
    journal = std::move(*opened);
    journal_ = &*journal;
    loop_->on_readable(journal_->fd(), [this] { read_journal(); });
  }

  [[nodiscard]] std::vector<JournalMatch> matches() const {
    std::vector<std::string> units = units_;
    units.push_back(watch_unit(config_.app));
    std::vector<JournalMatch> matches;
    for (const auto& unit : units) {
      matches.push_back({"_SYSTEMD_UNIT=" + unit});
      matches.push_back({"_UID=0", "OBJECT_SYSTEMD_UNIT=" + unit}); // see tools/report.cpp
      matches.push_back({"_PID=1", "UNIT=" + unit});
    }
    // The gates of the guard run in the app's own unit, and as root, which the app mostly does not.
    for (const char* gate : {"port-wait", "health-wait"})
      for (const char* field : {"_SYSTEMD_UNIT", "OBJECT_SYSTEMD_UNIT"})
        matches.push_back(
            {"_UID=0", fmt::format("{}={}", field, config_.unit), fmt::format("SYSLOG_IDENTIFIER={}", gate)});
    return matches;
  }

  void read_journal() {
    journal_->read([this](const JournalEntry& entry) {
      const std::string unit = entry.field("UNIT");
      const std::string priority = entry.field("PRIORITY", 8);
      if (!unit.empty()) { // systemd's own words: the end of a job, and what it could not do
        if (!entry.field("JOB_RESULT").empty()) told_.insert(unit);
        if (!entry.field("JOB_RESULT").empty() || priority > "3") return;
      }
      if (entry.field("SYSLOG_IDENTIFIER", 40) == "systemctl") return; // where to look, which is here
      if (unit.empty() && priority <= "3") followed_.error = printable(entry.field("MESSAGE"), 400);
      view_.said(fmt::format("{}: {}", printable(entry.field("SYSLOG_IDENTIFIER"), 40),
                             printable(entry.field("MESSAGE"), 400)),
                 priority <= "4");
    });
    if (over_ && all_told()) loop_->stop();
  }

  // --- the end

  void on_job(const std::string& ended, const std::string& result) {
    if (std::find(units_.begin(), units_.end(), ended) == units_.end()) return;
    ended_.insert(ended);
    // A stop of the unit is a job as well, which ends later.
    const bool is_first = ended == what_.unit && followed_.result.empty();
    if (is_first) followed_.result = result;
    if (is_first && result == "done") {
      // What OnSuccess= names is queued before systemd answers anybody again.
      is_watched_ =
          what_.waits_for_probation && what_.waits_for_probation() && is_at_work(watch_unit(config_.app));
      if (!is_watched_) return conclude(view_.is_shown() ? patience_when_good : Duration::zero());
      view_.begin(phase_ = "probation", Clock::now());
      return;
    }
    conclude_if_over(patience_when_failed);
  }

  // The watch's job is to start; what counts is that it ends.
  void on_watch(const UnitState& changed) {
    if (!is_watched_ || (changed.sub_state != "dead" && changed.sub_state != "failed")) return;
    conclude_if_over(changed.sub_state == "dead" ? patience_when_good : patience_when_failed);
  }

  // What OnFailure= names is queued with the end of what failed, too: nothing at work means that it is over.
  void conclude_if_over(Duration patience) {
    const auto at_work = [this](const auto& unit) { return is_at_work(unit); };
    if (followed_.result.empty() || std::any_of(units_.begin(), units_.end(), at_work)) return;
    if (is_watched_ && is_at_work(watch_unit(config_.app))) return;
    conclude(patience);
  }

  bool is_at_work(const std::string& unit) {
    const auto state = bus_->unit(unit);
    return state && state->is_at_work();
  }

  void conclude(Duration patience) {
    over_ = true;
    drain_until_ = Clock::now() + patience;
    drain();
  }

  // journald tells its readers of new entries up to 250 ms late (POST_CHANGE_TIMER_INTERVAL_USEC), but they
  // can be read at once: so the rest is looked for.
  void drain() {
    if (journal_ != nullptr) read_journal();
    if (journal_ == nullptr || all_told() || Clock::now() >= drain_until_)
      loop_->stop();
    else
      loop_->arm(drain_timer_, Clock::now() + std::chrono::milliseconds(2));
  }

  [[nodiscard]] bool all_told() const {
    return std::all_of(ended_.begin(), ended_.end(),
                       [this](const std::string& unit) { return told_.contains(unit); });
  }

  void tick() {
    if (journal_ != nullptr) read_journal();
    view_.tick();
    loop_->arm(tick_timer_, Clock::now() + std::chrono::milliseconds(100));
  }

  const Config& config_;
  const ToFollow& what_;
  View& view_;
  Reporter& report_;
  std::vector<std::string> units_;
  Clock::time_point start_ = Clock::now();
  Bus* bus_ = nullptr;
  EventLoop* loop_ = nullptr;
  JournalFollower* journal_ = nullptr;
  std::size_t look_timer_ = 0;
  std::size_t drain_timer_ = 0;
  std::size_t tick_timer_ = 0;
  std::map<std::string, std::string> sub_states_ = {};
  std::set<std::string> to_look_at_ = {};
  std::string phase_ = {};
  std::string app_does_ = "started"; // which is not worth a word at first
  Clock::time_point last_noted_ = {};
  Followed followed_ = {};
  std::set<std::string> ended_ = {}; // whose job has ended
  std::set<std::string> told_ = {};  // of which the journal says so, too
  bool is_watched_ = false;
  bool over_ = false;
  Clock::time_point drain_until_ = {};
};

} // namespace

Result<Followed> start_and_follow(const Config& config, const ToFollow& what, View& view, Reporter& report) {
  return Follower(config, what, view, report).run();
}

} // namespace safe_deploy::command
