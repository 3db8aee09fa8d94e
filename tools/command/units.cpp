#include "bus.hpp"
#include "command.hpp"
#include "message_ids.hpp"
#include "moved.hpp"

#include <fmt/format.h>

namespace safe_deploy::command {

std::string deploy_unit(const std::string& app) {
  return fmt::format("safe-deploy@{}.service", app);
}
std::string rollback_unit(const std::string& app) {
  return fmt::format("safe-deploy-rollback@{}.service", app);
}
std::string stuck_unit(const std::string& app) {
  return fmt::format("safe-deploy-stuck@{}.service", app);
}

Result<std::string> app_argument(const CommandLine& line, std::size_t most) {
  if (line.arguments.empty()) return fail(Outcome::usage, "", "an app is needed");
  if (line.arguments.size() > most)
    return fail(Outcome::usage, line.arguments[most], "is one argument too many");
  return line.arguments.front();
}

Result<int> failed(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  auto state = Ledger::read(app->places.state_dir, app->config.app);
  if (!state) return forward_error(state);
  // In rolling-back the rollback unit itself is at work, or has failed: never a third try.
  const bool candidate_live = state->phase == Phase::swapped || state->phase == Phase::probation;
  if (!candidate_live) {
    report.say(Priority::info, fmt::format("{} failed outside a deploy (phase {}): nothing to roll back",
                                           app->config.unit, phase_name(state->phase)));
    return 0;
  }
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
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

Result<int> reconcile(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  auto moved = safe_deploy::reconcile(app->config, app->places, true, [&](const State& state) {
    return refuse_while_at_work(app->config.app, state);
  });
  if (!moved) return forward_error(moved);
  auto after = Ledger::read(app->places.state_dir, app->config.app);
  if (!after) return forward_error(after);
  const bool stuck = after->phase == Phase::stuck;
  if (stuck && moved->note.empty())
    moved->note = fmt::format("stuck, a person is needed: {}", printable(after->stuck));
  if (!moved->note.empty())
    report.say(stuck ? Priority::error : Priority::warning,
               fmt::format("{}: {}", app->config.app, moved->note),
               stuck                 ? message_stuck
               : after->lost.empty() ? message_interrupted
                                     : message_record_set_aside);
  moved->note.clear();
  print_moved(*moved, line.has("json"), line.has("quiet"), report);
  if (moved->changed) warn_about_running(app->config, report);
  return stuck ? static_cast<int>(Outcome::no) : 0;
}

} // namespace safe_deploy::command
