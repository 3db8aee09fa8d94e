#include "asker_here.hpp"
#include "bus.hpp"
#include "command.hpp"
#include "follow.hpp"
#include "json.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "releases.hpp"
#include "request.hpp"
#include "unit_links.hpp"
#include "view.hpp"
#include "warnings.hpp"

#include <fmt/format.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>

namespace safe_deploy::command {

namespace {

// Exit codes of `deploy` beyond those of all tools.
constexpr int rolled_back = 3;
constexpr int still_stuck = 4;

struct Ending {
  int code;
  std::string outcome; // a stable word
  std::string sentence;
  std::string release = {}; // that was deployed, or rolled back to; empty where nothing was done
  std::string reason = {};  // why it failed
};

// The wall clock is for people: when it will be over as it goes now.
std::string local_time(Duration from_now) {
  const auto then = std::chrono::system_clock::now() + from_now;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(then);
  std::tm parts{};
  (void)localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return text.data();
}

Ending on_probation(const Config& config, const State& after) {
  const Duration left = probation_left(after, config, Moment::now()).value_or(config.watch_duration);
  return {0, "probation",
          fmt::format("{} is healthy, on probation until {} ({}); 'safe-deploy status {}' tells how it goes",
                      after.candidate, local_time(left), format_duration(config.watch_duration), config.app),
          after.candidate};
}

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
  if (after.phase == Phase::probation) return on_probation(config, after);
  if (last.outcome == "good") return {0, "good", fmt::format("{} is good", last.release), last.release};
  if (last.outcome == "rolled-back" || last.outcome == "interrupted")
    return {rolled_back, "rolled-back",
            fmt::format("{} failed: {}; rolled back to {}, which is healthy", last.release,
                        printable(last.reason), after.current),
            last.release, last.reason};
  if (last.outcome == "abandoned")
    return {static_cast<int>(Outcome::no), "refused",
            fmt::format("the swap to {} did not take place: {}", last.release, printable(last.reason)),
            last.release, last.reason};
  return {still_stuck, "stuck",
          fmt::format("left in phase {} with {}; run 'safe-deploy rollback {}', then see {}",
                      phase_name(after.phase), after.candidate, config.app, look),
          last.release, last.reason};
}

// A run of `deploy` or `rollback`: what was asked for, and what is told at the end.
class Run {
 public:
  Run(const CommandLine& line, Reporter& report, RequestKind kind)
      : line_(line), report_(report), kind_(kind) {
    // Whoever reads along may go: what came of it is told by the exit status all the same.
    (void)std::signal(SIGPIPE, SIG_IGN);
  }

  Result<int> deploy() {
    auto name = app_argument(line_, 2);
    if (!name) return forward_error(name);
    asked_.force = line_.has("force");
    if (line_.arguments.size() == 2) {
      auto release = parse_release_name(line_.arguments[1]);
      if (!release) return forward_error(release);
      asked_.release = *release;
    }
    return tell_error(*name, deploy_app(*name));
  }

  Result<int> rollback() {
    auto name = app_argument(line_, 1);
    if (!name) return forward_error(name);
    if (line_.has("to")) {
      auto release = parse_release_name(line_.value("to"));
      if (!release) return forward_error(release);
      asked_.release = *release;
    }
    return tell_error(*name, roll_back_app(*name));
  }

 private:
  Result<int> deploy_app(const std::string& name) {
    auto app = load_app(line_, name, report_);
    if (!app) return forward_error(app);
    if (asked_.force && geteuid() != 0)
      return fail(Outcome::no, "--force", "is believed of root only: 'sudo safe-deploy deploy ... --force'");
    SwapRequest request{.release = {}, .force = asked_.force, .durable = true, .dry_run = true};
    if (!asked_.release.empty()) request.release = asked_.release;
    auto would = swap_to_release(app->config, app->places, request);
    if (!would && would.error().outcome() == Outcome::busy) return explain_busy(*app, would.error());
    if (!would) return forward_error(would);
    if (!would->changed && would->from == would->to) {
      auto state = Ledger::read(app->places.state_dir, app->config.app);
      if (state && state->phase == Phase::idle)
        return tell(app->config,
                    {0, "unchanged", fmt::format("{} is current already", would->release), would->release},
                    *state);
    }
    // Whatever made two releases fail would make a good one bad by the way.
    if (asked_.release.empty() && would->from == would->to && phase_of(*app) == Phase::stuck)
      return fail(
          Outcome::no, app->config.app,
          fmt::format(
              "stuck, and there is nothing newer than {0}, which is current: 'safe-deploy rollback {1} --to "
              "{0}' starts it again",
              would->release, app->config.app));
    asked_.release = would->release;
    return start(*app, deploy_unit(app->config.app));
  }

  Result<int> roll_back_app(const std::string& name) {
    auto app = load_app(line_, name, report_);
    if (!app) return forward_error(app);
    RollbackRequest request{
        .release = {}, .reason = std::string(rolled_back_by_hand), .durable = true, .dry_run = true};
    if (!asked_.release.empty()) request.release = asked_.release;
    auto would = roll_back(app->config, app->places, request);
    if (!would) return forward_error(would);
    auto state = Ledger::read(app->places.state_dir, app->config.app);
    if (!would->changed && state && state->phase == Phase::idle && state->is(would->release, Mark::good))
      return tell(
          app->config,
          {0, "unchanged", fmt::format("{} is current already, and good", would->release), would->release},
          *state);
    asked_.release = would->release;
    return start(*app, rollback_unit(app->config.app));
  }

  Result<int> start(const App& app, const std::string& unit) {
    if (auto usual = needs_usual_directories(line_); !usual) return forward_error(usual);
    if (auto can = app_can_be_started(app.config); !can) return forward_error(can);
    std::optional<State> before;
    if (auto state = Ledger::read(app.places.state_dir, app.config.app); state) before = *std::move(state);
    const bool shown = !line_.has("quiet") && !line_.has("json");
    View view(report_, app.config.app, shown);
    const ToFollow what{
        .unit = unit,
        .waits_for_probation = [&] { return line_.has("wait-good") && phase_of(app) == Phase::probation; },
        .before_start = [&] { return leave(app); },
        .on_refused = [&] { drop_request(app.places.run_dir, app.config.app, kind_); }};
    auto followed = start_and_follow(app.config, what, view, report_);
    phases_ = view.phases();
    if (!followed) return forward_error(followed);
    auto after = Ledger::read(app.places.state_dir, app.config.app);
    if (followed->signal != 0) {
      report_.say(
          Priority::notice,
          fmt::format("no longer watching; the {} goes on: 'safe-deploy status {}', journalctl -fu '{}'",
                      kind_ == RequestKind::deploy ? "deploy" : "rollback", app.config.app, unit));
      if (line_.has("json"))
        print_object(app.config, {0, "under way", "no longer watched", asked_.release},
                     after.value_or(State{}));
      return 128 + followed->signal;
    }
    if (!after) return forward_error(after);
    is_new_ = !before || after->last.number != before->last.number || after->last.ended != before->last.ended;
    from_ = kind_ == RequestKind::rollback && before ? before->current : after->last.from;
    // Of two who ask at once the later one is heard.
    if (kind_ == RequestKind::deploy && is_new_ && after->lost.empty() &&
        after->last.release != asked_.release)
      return fail(Outcome::busy, app.config.app,
                  fmt::format("another deploy came first, of {}: {} was not deployed", after->last.release,
                              asked_.release));
    Ending ending = judge(app.config, before, *after, followed->result);
    if (kind_ == RequestKind::rollback && ending.code == rolled_back)
      ending = {0, "rolled-back", fmt::format("rolled back to {}, which is healthy", after->current),
                after->current, after->last.reason};
    if (kind_ == RequestKind::rollback && ending.outcome == "unchanged")
      ending = {static_cast<int>(Outcome::no), "refused",
                fmt::format("the rollback was refused, nothing was changed; see journalctl -u '{}'", unit)};
    if (line_.has("wait-good") && ending.outcome == "probation")
      ending = {still_stuck, "probation",
                fmt::format("{0} is on probation, but nothing watches it: 'systemctl start {1}' begins its "
                            "probation again, 'safe-deploy rollback {2}' leads back from it",
                            after->candidate, watch_unit(app.config.app), app.config.app),
                after->candidate, "the probation was not watched to its end"};
    if (ending.outcome == "refused" && ending.reason.empty() && !followed->error.empty()) {
      ending.reason = followed->error;
      ending.sentence =
          fmt::format("refused, nothing was changed: {}; see journalctl -u '{}'", ending.reason, unit);
    }
    return tell(app.config, ending, *after);
  }

  static std::optional<Phase> phase_of(const App& app) {
    const auto state = Ledger::read(app.places.state_dir, app.config.app);
    return state ? std::optional(state->phase) : std::nullopt;
  }

  Result<void> leave(const App& app) {
    asked_.by = asker_here();
    auto left = leave_request(app.places.run_dir, app.config.app, kind_, asked_);
    if (left || geteuid() == 0) return left;
    const std::string directory = fmt::format("{}/{}", app.places.run_dir, app.config.app);
    if (left.error().code == std::errc::permission_denied)
      return fail_errno(
          directory, "cannot leave a request: it takes root, or a member of the group safe-deploy", EACCES);
    if (left.error().code == std::errc::no_such_file_or_directory)
      return fail_errno(
          directory, fmt::format("is made by 'safe-deploy enable {}', as root, and missing", app.config.app),
          ENOENT);
    return left;
  }

  // A unit that cannot be started would be found out when the old release is down.
  Result<void> app_can_be_started(const Config& config) {
    auto bus = Bus::open_system();
    if (!bus) return forward_error(bus);
    auto unit = bus->unit(config.unit);
    if (!unit) return forward_error(unit);
    if (unit->load_state == "masked")
      return fail(Outcome::no, config.unit,
                  fmt::format("is masked, so it cannot be started: 'systemctl unmask {}' allows it again",
                              config.unit));
    if (unit->load_state == "loaded") warn_about_link(*unit, config, report_);
    return {};
  }

  // The record says that a deploy is under way: where no unit is at work on it, it was cut short.
  static Result<int> explain_busy(const App& app, const Error& busy) {
    auto bus = Bus::open_system();
    if (!bus) return forward_error(bus);
    for (const auto& unit :
         {deploy_unit(app.config.app), rollback_unit(app.config.app), watch_unit(app.config.app)}) {
      auto state = bus->unit(unit);
      if (!state) return forward_error(state);
      if (state->is_at_work()) return tl::unexpected<Error>(busy);
    }
    return fail(Outcome::no, app.config.app,
                fmt::format("{}, but no unit is at work on it: 'safe-deploy rollback {}' leads back from it",
                            busy.problem, app.config.app));
  }

  // --- what is told

  void print_object(const Config& config, const Ending& ending, const State& after) const {
    Json phases = Json::array();
    for (const auto& phase : phases_)
      phases.push_back({{"phase", phase.name}, {"seconds", rounded(phase.seconds())}});
    const Json object{{"app", config.app},
                      {"outcome", ending.outcome},
                      {"release", ending.release},
                      {"from", is_new_ ? from_ : ""},
                      {"current", after.current},
                      {"phase", phase_name(after.phase)},
                      {"reason", ending.reason},
                      {"message", ending.sentence},
                      {"number", is_new_ ? after.last.number : 0},
                      {"forced", asked_.force},
                      {"started", is_new_ ? after.last.started : started_.at},
                      {"seconds", rounded(Moment::now().monotonic - started_.monotonic)},
                      {"phases", std::move(phases)}};
    fmt::print("{}\n", to_text(object));
  }

  static double rounded(double seconds) { return std::round(seconds * 1000) / 1000; }

  int tell(const Config& config, const Ending& ending, const State& after) {
    if (line_.has("json"))
      print_object(config, ending, after);
    else if (ending.code != 0 || !line_.has("quiet"))
      fmt::print("{}: {}\n", config.app, ending.sentence);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return ending.code;
    // Nobody reads the answer. What came of it must not be lost with it.
    const int error = errno;
    if (error != EPIPE && ending.code == 0) return ending.code; // is told by run_tool()
    __fpurge(stdout);
    std::clearerr(stdout);
    report_.say(Priority::error, fmt::format("{}: {} (standard output: {})", config.app, ending.sentence,
                                             std::strerror(error)));
    return ending.code;
  }

  // With --json there is an object whatever happens, but to a command line that makes no sense.
  Result<int> tell_error(const std::string& app, Result<int> code) {
    if (code || code.error().outcome() == Outcome::usage || !line_.has("json")) return code;
    Config config;
    config.app = app;
    const Outcome outcome = code.error().outcome();
    const std::string text = printable(code.error().text(), 4096);
    const auto state = Ledger::read(directories(line_).state, app);
    print_object(config,
                 {static_cast<int>(outcome),
                  outcome == Outcome::busy ? "busy"
                  : outcome == Outcome::no ? "refused"
                                           : "error",
                  text, asked_.release, text},
                 state.value_or(State{}));
    return code;
  }

  const CommandLine& line_;
  Reporter& report_;
  RequestKind kind_;
  Request asked_ = {};
  Moment started_ = Moment::now();
  std::vector<PhaseTime> phases_ = {};
  bool is_new_ = false;   // the record tells of a deploy that began or ended since
  std::string from_ = {}; // what ran before it
};

} // namespace

Result<int> deploy(const CommandLine& line, Reporter& report) {
  return Run(line, report, RequestKind::deploy).deploy();
}

Result<int> rollback(const CommandLine& line, Reporter& report) {
  return Run(line, report, RequestKind::rollback).rollback();
}

} // namespace safe_deploy::command
