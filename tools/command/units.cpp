#include "bus.hpp"
#include "command.hpp"
#include "incidents.hpp"
#include "journal.hpp"
#include "message_ids.hpp"
#include "moved.hpp"
#include "request.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

namespace safe_deploy::command {

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

Result<std::string> app_argument(const CommandLine& line, std::size_t most) {
  if (line.arguments.empty()) return fail(Outcome::usage, "", "an app is needed");
  if (line.arguments.size() > most)
    return fail(Outcome::usage, line.arguments[most], "is one argument too many");
  return line.arguments.front();
}

namespace {

constexpr std::size_t most_lines = 20;

// In a deploy the rollback tells of it, and so it is with a handler that comes late, when the unit has been
// started anew: one that systemd has started again after a failure has a count of that.
bool is_settled(const UnitState& unit) {
  return unit.active_state == "active" && unit.restarts == 0;
}

// Outside of a deploy there is nothing to lead back from: a person is to know of it.
void tell_of_failure(const App& app, const State& state, const std::optional<UnitState>& unit,
                     Reporter& report) {
  const std::string how = unit ? unit->how_main_ended() : "";
  const std::string why = fmt::format("{} failed{}", app.config.unit,
                                      !how.empty()                        ? ": its main process " + how
                                      : unit && unit->result != "success" ? ": " + unit->result
                                                                          : "");
  report.say(Priority::error, fmt::format("{}: {}, and not in a deploy", app.config.app, why),
             message_app_failed, {{"SAFE_DEPLOY_RELEASE", state.current}});
  Incident incident{.kind = "failed",
                    .app = app.config.app,
                    .release = state.current,
                    .reason = why,
                    .done = unit && unit->active_state == "failed"
                                ? "nothing: it is down until somebody starts it"
                                : "nothing: systemd starts it again"};
  // systemd.exec(5): of the attempt that failed, where it is known.
  const char* failed = std::getenv("MONITOR_INVOCATION_ID");
  const std::string invocation = failed != nullptr ? failed : unit ? unit->invocation_id : "";
  if (!invocation.empty())
    incident.lines = last_messages({.invocation = invocation}, most_lines, Deadline::after(Duration(1)))
                         .value_or(std::vector<std::string>());
  (void)report_incident(app.places, std::move(incident), report);
}

// What is on probation is left only for a reason, and this is one (release-mark --is rollback-due).
Result<void> note_failure_on_probation(const App& app, const std::string& reason) {
  auto change = Ledger::Change::begin(app.places.state_dir, app.config.app);
  if (!change) return forward_error(change);
  if (change->state().phase != Phase::probation) return {};
  return change->commit(step::note_failure(change->state(), reason, Moment::now()));
}

} // namespace

Result<int> failed(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  auto state = Ledger::read(app->places.state_dir, app->config.app);
  if (!state) return forward_error(state);
  // In rolling-back the rollback unit itself is at work, or has failed: never a third try.
  const bool candidate_live = state->phase == Phase::swapped || state->phase == Phase::probation;
  auto bus = Bus::open_system();
  std::optional<UnitState> unit;
  if (bus)
    if (auto asked = bus->unit(app->config.unit); asked) unit = *std::move(asked);
  if (state->phase == Phase::idle && !(unit && is_settled(*unit))) {
    tell_of_failure(*app, *state, unit, report);
    return 0;
  }
  if (!candidate_live) {
    report.say(Priority::info, fmt::format("{} failed outside a deploy (phase {}): nothing to roll back",
                                           app->config.unit, phase_name(state->phase)));
    return 0;
  }
  if (!bus) return forward_error(bus);
  if (state->phase == Phase::probation)
    if (auto noted = note_failure_on_probation(*app, fmt::format("{} failed", app->config.unit)); !noted)
      report.say(Priority::warning, fmt::format("the failure is not recorded: {}", noted.error().text()));
  // The rollback is ordered after the deploy: it waits until that has come to its end.
  auto job = bus->queue_job("StartUnit", rollback_unit(app->config.app));
  if (!job) return forward_error(job);
  report.say(Priority::warning,
             fmt::format("{} failed while {} is on trial: rolling back", app->config.unit, state->candidate));
  return 0;
}

// At boot the app is started after this. By hand the link moves under one that runs.
void warn_about_running(const Config& config, Reporter& report) {
  auto bus = Bus::open_system();
  if (!bus) return;
  auto unit = bus->unit(config.unit);
  if (unit && unit->active_state == "active")
    report.say(Priority::warning,
               fmt::format("{0} still runs what it was started with: 'systemctl restart {0}'", config.unit));
}

// In the boot that the deploy began in it may still be going on; after a reboot it can't be.
Result<void> refuse_while_at_work(const std::string& app, const State& state) {
  if (state.since.boot != Moment::now().boot) return {};
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  for (const auto& unit : {deploy_unit(app), rollback_unit(app)}) {
    auto now = bus->unit(unit);
    if (!now) return forward_error(now);
    if (now->is_busy())
      return fail(Outcome::busy, app, fmt::format("{} is at work on {}", unit, state.candidate));
  }
  return {};
}

// What a reboot has cut short is for a person to look into; and what is stuck since before, once more.
void tell_of_interruption(const App& app, const State& before, const State& after, const Moved& moved,
                          Reporter& report) {
  const bool stuck = after.phase == Phase::stuck;
  if (!stuck && (before.phase == Phase::idle || !after.lost.empty())) return;
  Incident incident{.kind = stuck ? "stuck" : "interrupted",
                    .app = app.config.app,
                    .release = before.candidate,
                    .reason = stuck ? after.stuck : after.last.reason,
                    .done = stuck              ? "nothing more is tried without a person"
                            : moved.to.empty() ? "the link was removed"
                            : moved.changed    ? fmt::format("back to {}", moved.release)
                                               : fmt::format("{} is current, as before", moved.release)};
  incident.lines = last_lines(app.config.unit, before.last);
  (void)report_incident(app.places, std::move(incident), report);
}

Result<int> reconcile(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  // /run is empty after a reboot: from here on the group may ask for deploys.
  if (geteuid() == 0)
    if (auto made = make_request_directory(app->places.run_dir, app->config.app); !made)
      report.say(Priority::warning, made.error().text());
  const auto before = Ledger::read(app->places.state_dir, app->config.app).value_or(State{});
  auto moved = safe_deploy::reconcile(app->config, app->places, true, [&](const State& state) {
    return refuse_while_at_work(app->config.app, state);
  });
  if (!moved) return forward_error(moved);
  auto after = Ledger::read(app->places.state_dir, app->config.app);
  if (!after) return forward_error(after);
  const bool stuck = after->phase == Phase::stuck;
  if (stuck && moved->note.empty())
    moved->note = fmt::format("stuck, a person is needed: {}", printable(after->stuck));
  if (after->phase == Phase::probation) {
    if (!moved->note.empty())
      report.say(Priority::notice, fmt::format("{}: {}", app->config.app, moved->note), message_on_probation,
                 {{"SAFE_DEPLOY_RELEASE", after->candidate}});
  } else if (!moved->note.empty()) {
    report.say(stuck ? Priority::error : Priority::warning,
               fmt::format("{}: {}", app->config.app, moved->note),
               stuck                 ? message_stuck
               : after->lost.empty() ? message_interrupted
                                     : message_record_set_aside);
    tell_of_interruption(*app, before, *after, *moved, report);
  }
  moved->note.clear();
  print_moved(*moved, line.has("json"), line.has("quiet"), report);
  if (moved->changed) warn_about_running(app->config, report);
  return stuck ? static_cast<int>(Outcome::no) : 0;
}

} // namespace safe_deploy::command
