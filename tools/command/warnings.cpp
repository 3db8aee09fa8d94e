#include "warnings.hpp"

#include "quantity.hpp"
#include "unit_links.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

namespace safe_deploy::command {

namespace {

// The gates run as root, with the environment of the app's unit: what it is read from must be root's.
void warn_about_environment(const UnitState& unit, Reporter& report) {
  for (const auto& [path, optional] : unit.environment_files) {
    struct stat status {};
    if (stat(path.c_str(), &status) < 0) continue;
    if (status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) continue;
    report.say(
        Priority::warning,
        fmt::format(
            "{}: its EnvironmentFile= {} can be changed by others than root (uid {}, mode {:04o}), who "
            "could so command what the guard runs as root: give it to root",
            unit.name, path, status.st_uid, status.st_mode & 07777));
  }
}

// How long a start may take, and how often it is tried.
void warn_about_limits(const UnitState& unit, const Config& config, Reporter& report) {
  const std::string remedy = fmt::format("'safe-deploy enable {} --limits' sets limits", config.app);
  if (unit.timeout_start == without_limit)
    report.say(Priority::warning,
               fmt::format("{}: its TimeoutStartSec= is infinity: a start that hangs never fails: {}",
                           unit.name, remedy));
  const bool restarts = !unit.restart.empty() && unit.restart != "no";
  // So many starts must fit into the interval to be too many; with a longer pause between them they never do.
  const bool limited = unit.start_limit_burst > 0 && unit.start_limit_interval > Duration::zero() &&
                       unit.restart_delay * unit.start_limit_burst < unit.start_limit_interval;
  if (restarts && !limited)
    report.say(
        Priority::warning,
        fmt::format("{}: Restart={} and no start limit that it could reach: a broken app is started for "
                    "ever: {}",
                    unit.name, unit.restart, remedy));
}

void warn_about_timeout(const UnitState& unit, const Config& config, bool limits, Reporter& report) {
  const Duration start = limits ? std::chrono::seconds(60) : unit.timeout_start; // limits.conf
  if (config.health_timeout <= start) return;
  report.say(Priority::warning,
             fmt::format("{}: its TimeoutStartSec= ({}) is over before [health] timeout in {} is ({}): make "
                         "one of them fit the other",
                         unit.name, format_duration(start), config.file,
                         config.health_timeout == without_limit ? "without limit"
                                                                : format_duration(config.health_timeout)));
}

} // namespace

void warn_about_link(const UnitState& unit, const Config& config, Reporter& report) {
  if (starts_through(unit, config.link)) return;
  report.say(Priority::warning, fmt::format("{}: neither its ExecStart= nor its WorkingDirectory= goes "
                                            "through {}: a deploy would change nothing",
                                            config.unit, config.link));
}

void warn_about_unit(const UnitState& unit, const Config& config, bool limits, Reporter& report) {
  warn_about_link(unit, config, report);
  warn_about_environment(unit, report);
  warn_about_timeout(unit, config, limits, report);
  if (!limits) warn_about_limits(unit, config, report);
}

} // namespace safe_deploy::command
