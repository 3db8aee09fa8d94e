#include "bus.hpp"
#include "command.hpp"
#include "event.hpp"
#include "journal.hpp"
#include "json.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "releases.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdio>
#include <optional>
#include <set>

namespace safe_deploy::command {

namespace {

// Exit codes of `deploy` beyond those of all tools.
constexpr int rolled_back = 3;
constexpr int still_stuck = 4;

Result<void> leave_request(const Places& places, const std::string& app, const std::string& name,
                           const std::string& release) {
  const std::string directory = fmt::format("{}/{}", places.run_dir, app);
  for (const auto& path : {places.run_dir, directory})
    if (mkdir(path.c_str(), 0755) < 0 && errno != EEXIST)
      return fail_errno(path, "cannot create the directory");
  return point_link(fmt::format("{}/{}", directory, name), release, false);
}

// Follows the units of a deploy from the start of the first to the end of the last, and shows what they log.
class Follower {
 public:
  Follower(const Config& config, Reporter& report, bool quiet)
      : units_{deploy_unit(config.app), rollback_unit(config.app), stuck_unit(config.app)},
        config_(config),
        report_(report),
        quiet_(quiet) {}

  // Outcome::busy if one of the units is at work already. Returns the job's result of `unit`, or nothing if
  // signal() ended the watching (the units go on).
  Result<std::optional<std::string>> run(const std::string& unit,
                                         const std::function<Result<void>()>& before_start) {
    auto bus = Bus::open_system();
    if (!bus) return forward_error(bus);
    bus_ = &*bus;
    for (const auto& other : units_) {
      auto state = bus->unit(other);
      if (!state) return forward_error(state);
      if (state->is_busy()) return fail(Outcome::busy, config_.app, fmt::format("{} is at work", other));
      if (other == unit && state->load_state != "loaded")
        return fail(Outcome::os_error, other, fmt::format("cannot be started: {}", state->load_state));
    }
    if (auto prepared = before_start(); !prepared) return forward_error(prepared);

    const BlockedSignals blocked;
    auto loop = EventLoop::create();
    if (!loop) return forward_error(loop);
    loop_ = &*loop;
    auto journal = JournalFollower::open(matches());
    if (journal) {
      journal_ = &*journal;
      loop->on_readable(journal->fd(), [this] { read_journal(); });
    }
    for (const int signal : {SIGTERM, SIGINT}) {
      loop->on_signal(signal, [this, signal] {
        signal_ = signal;
        loop_->stop();
      });
    }
    if (auto attached = bus->attach(*loop); !attached) return forward_error(attached);
    if (auto listening =
            bus->on_job_removed([this, unit](const std::string& ended, const std::string& result) {
              on_job(unit, ended, result);
            });
        !listening)
      return forward_error(listening);
    drain_timer_ = loop->add_timer([this] { drain(); });
    tick_timer_ = loop->add_timer([this] { tick(); });
    loop->arm(tick_timer_, Clock::now());
    auto job = bus->queue_job("StartUnit", unit);
    if (!job) return forward_error(job);
    auto ran = loop->run();
    report_.wipe_live();
    if (!ran) return forward_error(ran);
    if (signal_ != 0) return std::optional<std::string>();
    return result_;
  }

  [[nodiscard]] int signal() const { return signal_; }

 private:
  [[nodiscard]] std::vector<JournalMatch> matches() const {
    std::vector<JournalMatch> matches;
    for (const auto& unit : units_) {
      matches.push_back({"_SYSTEMD_UNIT=" + unit});
      matches.push_back({"_UID=0", "OBJECT_SYSTEMD_UNIT=" + unit}); // see tools/report.cpp
      matches.push_back({"_PID=1", "UNIT=" + unit});
    }
    // The gates of the guard run in the app's own unit.
    for (const char* gate : {"port-wait", "health-wait"})
      for (const char* field : {"_SYSTEMD_UNIT", "OBJECT_SYSTEMD_UNIT"})
        matches.push_back(
            {fmt::format("{}={}", field, config_.unit), fmt::format("SYSLOG_IDENTIFIER={}", gate)});
    return matches;
  }

  void read_journal() {
    journal_->read([this](const JournalEntry& entry) {
      const std::string unit = entry.field("UNIT");
      if (!unit.empty()) { // systemd's own words: the end of a job, and what it could not do
        if (!entry.field("JOB_RESULT").empty()) told_.insert(unit);
        if (!entry.field("JOB_RESULT").empty() || entry.field("PRIORITY") > "3") return;
      }
      last_line_ = fmt::format("{}: {}", printable(entry.field("SYSLOG_IDENTIFIER"), 40),
                               printable(entry.field("MESSAGE"), 400));
      if (!quiet_) {
        report_.wipe_live();
        fmt::print(stderr, "[{:>7}] {}\n", format_duration(elapsed()), last_line_);
      }
    });
    if (over_ && all_told()) loop_->stop();
  }

  void on_job(const std::string& started, const std::string& ended, const std::string& result) {
    if (std::find(units_.begin(), units_.end(), ended) == units_.end()) return;
    if (ended == started) result_ = result;
    ended_.insert(ended);
    // systemd queues what OnFailure= names before it answers anybody again: nothing busy means that it is
    // over.
    for (const auto& unit : units_) {
      auto state = bus_->unit(unit);
      if (state && state->is_busy()) return;
    }
    if (!result_) return;
    over_ = true;
    drain_until_ = Clock::now() + std::chrono::milliseconds(500);
    drain();
  }

  // What the units logged last may still be on its way into the journal, which tells its readers of new
  // entries up to 250 ms late (journald's POST_CHANGE_TIMER_INTERVAL_USEC): so it is looked for.
  void drain() {
    if (journal_ != nullptr) read_journal();
    if (journal_ == nullptr || all_told() || Clock::now() >= drain_until_)
      loop_->stop();
    else
      loop_->arm(drain_timer_, Clock::now() + std::chrono::milliseconds(4));
  }

  [[nodiscard]] bool all_told() const {
    return std::all_of(ended_.begin(), ended_.end(),
                       [this](const std::string& unit) { return told_.contains(unit); });
  }

  void tick() {
    if (journal_ != nullptr) read_journal();
    report_.live(fmt::format("[{}] {}: {}", format_duration(elapsed()), config_.app,
                             last_line_.empty() ? "starting" : last_line_));
    loop_->arm(tick_timer_, Clock::now() + std::chrono::milliseconds(100));
  }

  [[nodiscard]] Duration elapsed() const {
    return std::chrono::duration_cast<Duration>(Clock::now() - start_);
  }

  std::vector<std::string> units_;
  const Config& config_;
  Reporter& report_;
  bool quiet_;
  Clock::time_point start_ = Clock::now();
  Bus* bus_ = nullptr;
  EventLoop* loop_ = nullptr;
  JournalFollower* journal_ = nullptr;
  std::size_t drain_timer_ = 0;
  Clock::time_point drain_until_ = {};
  std::size_t tick_timer_ = 0;
  std::optional<std::string> result_ = {};
  std::set<std::string> ended_ = {}; // whose job has ended
  std::set<std::string> told_ = {};  // of which the journal says so, too
  std::string last_line_ = {};
  bool over_ = false;
  int signal_ = 0;
};

struct Ending {
  int code;
  std::string outcome; // a stable word
  std::string sentence;
  std::string release = {}; // that was deployed, or rolled back to; empty where nothing was done
  std::string reason = {};  // why it failed
};

// `before` is nothing where the record could not be read.
Ending judge(const Config& config, const std::optional<State>& before, const State& after,
             const std::string& job_result) {
  const LastDeploy& last = after.last;
  const std::string look = fmt::format("journalctl -u '{}'", deploy_unit(config.app));
  // A record that was made anew does not tell how the deploy ended that it was lost in.
  const bool is_made_anew = !after.lost.empty() && after.phase == Phase::idle && last.outcome.empty();
  const bool is_as_before = before ? last.number == before->last.number && after.phase == before->phase
                                   : is_made_anew || (last.number == 0 && after.phase == Phase::idle);
  if (is_as_before) {
    if (job_result == "done") return {0, "unchanged", "nothing to do"};
    return {static_cast<int>(Outcome::no), "refused",
            fmt::format("refused, nothing was changed; see {}", look)};
  }
  if (is_made_anew)
    return {still_stuck, "stuck",
            fmt::format("a person is needed: the record was lost ({}), and it is not known whether {}, which "
                        "is current, is good; see 'safe-deploy status {}'",
                        printable(after.lost), after.current, config.app),
            after.current, after.lost};
  if (after.phase == Phase::stuck)
    return {still_stuck, "stuck",
            fmt::format("stuck, a person is needed: {}; see 'safe-deploy status {}'", printable(after.stuck),
                        config.app),
            last.release, last.reason};
  if (last.outcome == "good") return {0, "good", fmt::format("{} is good", last.release), last.release};
  if (last.outcome == "rolled-back" || last.outcome == "interrupted")
    return {rolled_back, "rolled-back",
            fmt::format("{} failed: {}; rolled back to {}, which is healthy", last.release,
                        printable(last.reason), after.current),
            last.release, last.reason};
  if (last.outcome == "abandoned")
    return {static_cast<int>(Outcome::no), "refused",
            fmt::format("the swap to {} did not take place: {}", last.release, last.reason), last.release,
            last.reason};
  return {still_stuck, "stuck",
          fmt::format("left in phase {} with {}; run 'safe-deploy rollback {}', then see {}",
                      phase_name(after.phase), after.candidate, config.app, look),
          last.release, last.reason};
}

int tell(const Config& config, const Ending& ending, const State& after, const CommandLine& line) {
  if (line.has("json")) {
    Json object{{"app", config.app},         {"outcome", ending.outcome},        {"release", ending.release},
                {"current", after.current},  {"phase", phase_name(after.phase)}, {"reason", ending.reason},
                {"message", ending.sentence}};
    fmt::print("{}\n", to_text(object));
  } else if (ending.code != 0 || !line.has("quiet")) {
    fmt::print("{}: {}\n", config.app, ending.sentence);
  }
  return ending.code;
}

// The units know of no others.
Result<void> needs_usual_directories(const CommandLine& line) {
  const Directories used = directories(line);
  const Directories usual = usual_directories();
  for (const auto& [own, units] :
       {std::pair(&used.config, &usual.config), {&used.state, &usual.state}, {&used.run, &usual.run}})
    if (*own != *units)
      return fail(Outcome::usage, *own, fmt::format("is not where the units look, which is {}", *units));
  return {};
}

Result<int> follow(const App& app, const std::string& unit, const CommandLine& line, Reporter& report,
                   const std::function<Result<void>()>& before_start) {
  if (auto usual = needs_usual_directories(line); !usual) return forward_error(usual);
  std::optional<State> before;
  if (auto state = Ledger::read(app.places.state_dir, app.config.app); state) before = *std::move(state);
  Follower follower(app.config, report, line.has("quiet") || line.has("json"));
  auto result = follower.run(unit, before_start);
  if (!result) return forward_error(result);
  if (!*result) {
    report.say(
        Priority::notice,
        fmt::format("no longer watching; the deploy goes on: 'safe-deploy status {}', journalctl -fu '{}'",
                    app.config.app, unit));
    return 128 + follower.signal();
  }
  auto after = Ledger::read(app.places.state_dir, app.config.app);
  if (!after) return forward_error(after);
  Ending ending = judge(app.config, before, *after, **result);
  if (unit == rollback_unit(app.config.app) && ending.code == rolled_back)
    ending = {0, "rolled-back", fmt::format("rolled back to {}, which is healthy", after->current),
              after->current, after->last.reason};
  if (unit == rollback_unit(app.config.app) && ending.outcome == "unchanged")
    ending = {static_cast<int>(Outcome::no), "refused",
              fmt::format("the rollback was refused, nothing was changed; see journalctl -u '{}'", unit)};
  return tell(app.config, ending, *after, line);
}

// The record says that a deploy is under way: where no unit is at work on it, it was cut short.
Result<int> explain_busy(const App& app, const Error& busy) {
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  for (const auto& unit : {deploy_unit(app.config.app), rollback_unit(app.config.app)}) {
    auto state = bus->unit(unit);
    if (!state) return forward_error(state);
    if (state->is_busy()) return tl::unexpected<Error>(busy);
  }
  return fail(Outcome::no, app.config.app,
              fmt::format("{}, but no unit is at work on it: 'safe-deploy rollback {}' leads back from it",
                          busy.problem, app.config.app));
}

} // namespace

Result<int> deploy(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 2);
  if (!name) return forward_error(name);
  SwapRequest request{.release = {}, .force = false, .durable = true, .dry_run = true};
  if (line.arguments.size() == 2) {
    auto release = parse_release_name(line.arguments[1]);
    if (!release) return forward_error(release);
    request.release = *release;
  }
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  auto would = swap_to_release(app->config, app->places, request);
  if (!would && would.error().outcome() == Outcome::busy) return explain_busy(*app, would.error());
  if (!would) return forward_error(would);
  if (!would->changed && would->from == would->to) {
    auto state = Ledger::read(app->places.state_dir, app->config.app);
    if (state && state->phase == Phase::idle)
      return tell(app->config,
                  {0, "unchanged", fmt::format("{} is current already", would->release), would->release},
                  *state, line);
  }
  const auto leave = [&]() -> Result<void> {
    if (!request.release) return {};
    return leave_request(app->places, app->config.app, "next", *request.release);
  };
  auto code = follow(*app, deploy_unit(app->config.app), line, report, leave);
  if (!code && request.release && code.error().outcome() != Outcome::busy)
    drop_request(app->places.run_dir, app->config.app, "next");
  return code;
}

Result<int> rollback(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  RollbackRequest request{.release = {}, .reason = "rolled back by hand", .durable = true, .dry_run = true};
  if (line.has("to")) {
    auto release = parse_release_name(line.value("to"));
    if (!release) return forward_error(release);
    request.release = *release;
  }
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  auto would = roll_back(app->config, app->places, request);
  if (!would) return forward_error(would);
  auto code = follow(*app, rollback_unit(app->config.app), line, report,
                     [&] { return leave_request(app->places, app->config.app, "rollback", would->release); });
  if (!code && code.error().outcome() != Outcome::busy)
    drop_request(app->places.run_dir, app->config.app, "rollback");
  return code;
}

} // namespace safe_deploy::command
