#include "guard.hpp"

#include "beside.hpp"
#include "command.hpp"
#include "drop_ins.hpp"
#include "ledger.hpp"
#include "releases.hpp"
#include "request.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace safe_deploy::command {

namespace {

// What runs now and is healthy is what the first bad deploy is rolled back to.
Result<void> record_if_healthy(const App& app, const std::string& current, Reporter& report) {
  auto healthy =
      run_beside({"health-wait", "--app", app.config.app, "--attempts", "3", "--timeout", "15s", "--quiet"});
  if (!healthy) return forward_error(healthy);
  if (*healthy != 0) {
    report.say(Priority::warning,
               fmt::format("{}: {} is not healthy: it is not recorded as good", app.config.app, current));
    return {};
  }
  auto change = Ledger::Change::begin(app.places.state_dir, app.config.app, lock_patience, current);
  if (!change) return forward_error(change);
  if (change->state().phase != Phase::idle) return {};
  return change->commit(step::mark(change->state(), current, Mark::good,
                                   "healthy when safe-deploy was enabled", Moment::now()));
}

Result<void> plan_record(Plan& plan, const App& app, const UnitState& unit, Reporter& report) {
  const Config& config = app.config;
  auto releases = Releases::open(config); // what is wrong with them is said before anything is changed
  if (!releases) return forward_error(releases);
  auto current = releases->named_by(config.link);
  if (!current) return forward_error(current);
  auto state = Ledger::read(app.places.state_dir, config.app);
  if (state && state->is(*current, Mark::good)) return {};
  if (current->empty() || unit.active_state != "active") {
    report.say(Priority::notice,
               fmt::format("{}: {}: nothing is recorded as good yet", config.app,
                           current->empty() ? "no release is current" : config.unit + " is not running"));
    return {};
  }
  plan.add(fmt::format("record {} as good if it is healthy", *current),
           [&app, &report, current = *current] { return record_if_healthy(app, current, report); });
  return {};
}

// Where a member of the group may leave what is to be deployed.
void plan_request_directory(Plan& plan, const App& app) {
  const std::string path = fmt::format("{}/{}", app.places.run_dir, app.config.app);
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && (status.st_mode & (S_IWGRP | S_ISVTX)) == (S_IWGRP | S_ISVTX))
    return;
  plan.add(fmt::format("make the directory {}", path), [run_dir = app.places.run_dir, name = app.config.app] {
    return make_request_directory(run_dir, name);
  });
}

Result<void> plan_enabling(Plan& plan, Bus& bus, const std::string& unit, bool wanted) {
  auto state = bus.unit_file_state(unit);
  if (!state) return forward_error(state);
  const bool enabled = *state == "enabled";
  if (wanted && !enabled)
    plan.add(fmt::format("enable {}", unit), [&bus, unit] { return bus.enable_unit_file(unit); });
  if (!wanted && enabled)
    plan.add(fmt::format("disable {}", unit), [&bus, unit] { return bus.disable_unit_file(unit); });
  return {};
}

Result<void> queue(Bus& bus, const std::string& method, const std::string& unit) {
  auto job = bus.queue_job(method, unit);
  if (!job) return forward_error(job);
  return {};
}

void plan_reload(Plan& plan, Bus& bus) {
  plan.add("reload systemd", [&bus] { return bus.call_manager("Reload"); });
}

// Whether the timer of the monitor is to run; starting and stopping it come after the reload.
Result<void> plan_monitor(Plan& plan, Bus& bus, const std::string& app, bool wanted, Reporter& report) {
  const std::string timer = monitor_timer(app);
  auto installed = bus.unit_file_state(timer);
  if (!installed) return forward_error(installed);
  if (installed->empty()) {
    if (wanted)
      report.say(Priority::warning,
                 fmt::format("{}: is not installed: the checks with when = monitor are not asked", timer));
    return {};
  }
  return plan_enabling(plan, bus, timer, wanted);
}

Result<void> plan_monitor_run(Plan& plan, Bus& bus, const std::string& app, bool wanted) {
  const std::string timer = monitor_timer(app);
  auto state = bus.unit(timer);
  if (!state) return forward_error(state);
  if (state->load_state != "loaded") return {};
  const bool runs = state->active_state == "active";
  if (wanted && !runs)
    plan.add(fmt::format("start {}", timer), [&bus, timer] { return queue(bus, "StartUnit", timer); });
  if (!wanted && runs)
    plan.add(fmt::format("stop {}", timer), [&bus, timer] { return queue(bus, "StopUnit", timer); });
  return {};
}

bool has_monitor_checks(const Config& config) {
  return std::any_of(config.checks.begin(), config.checks.end(),
                     [](const CheckSection& section) { return section.monitor; });
}

} // namespace

Result<void> plan_guard(Plan& plan, Bus& bus, const App& app, const UnitState& unit, const CommandLine& line,
                        Reporter& report) {
  const Config& config = app.config;
  const bool monitored = has_monitor_checks(config);
  if (auto recorded = plan_record(plan, app, unit, report); !recorded) return recorded;
  auto before = guarded_unit(config);
  if (!before) return forward_error(before);
  const bool moved = *before != config.unit; // [app] unit has changed since
  const bool keeps_limits = moved && has_limits(*before);
  if (moved) plan_removal(plan, config.app, *before);
  plan_drop_ins(plan, config, line.has("limits") || keeps_limits);
  plan_request_directory(plan, app);
  if (auto enabled = plan_enabling(plan, bus, reconcile_unit(config.app), true); !enabled) return enabled;
  if (auto timed = plan_monitor(plan, bus, config.app, monitored, report); !timed) return timed;
  // Also where nothing is lacking: the last time it may have been.
  if (!line.has("dry-run") || !plan.empty()) plan_reload(plan, bus);
  return plan_monitor_run(plan, bus, config.app, monitored);
}

Result<void> plan_end_of_guard(Plan& plan, Bus& bus, const std::string& app, const std::string& guarded,
                               const CommandLine& line) {
  plan_removal(plan, app, guarded);
  for (const auto& unit : {reconcile_unit(app), monitor_timer(app)})
    if (auto disabled = plan_enabling(plan, bus, unit, false); !disabled) return disabled;
  if (!line.has("dry-run") || !plan.empty()) plan_reload(plan, bus);
  return plan_monitor_run(plan, bus, app, false);
}

} // namespace safe_deploy::command
