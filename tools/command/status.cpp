#include "bus.hpp"
#include "command.hpp"
#include "json.hpp"
#include "name.hpp"
#include "releases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace safe_deploy::command {

namespace {

// How one app stands. What cannot be found out says so instead of failing the others.
struct Standing {
  std::string app;
  std::string unit;
  std::string unit_state; // "active (running)"
  std::string current;
  std::string previous;
  std::string error; // the configuration, the releases or the record cannot be read
  State state;
};

std::string unit_state(const std::string& unit, Bus* bus) {
  if (bus == nullptr) return "unknown";
  auto state = bus->unit(unit);
  if (!state) return "unknown";
  if (state->load_state != "loaded") return state->load_state;
  if (state->sub_state.empty()) return state->active_state;
  return fmt::format("{} ({})", state->active_state, state->sub_state);
}

Standing look(const CommandLine& line, const std::string& name, Bus* bus, Reporter& report) {
  Standing standing;
  standing.app = name;
  auto app = load_app(line, name, report);
  if (!app) {
    standing.error = app.error().text();
    return standing;
  }
  standing.app = app->config.app;
  standing.unit = app->config.unit;
  standing.unit_state = unit_state(standing.unit, bus);
  auto state = Ledger::read(app->places.state_dir, app->config.app);
  if (state)
    standing.state = std::move(*state);
  else
    standing.error = state.error().text();
  auto releases = Releases::open(app->config);
  if (!releases) {
    standing.error = releases.error().text();
    return standing;
  }
  for (const auto& [link, release] : {std::pair(app->config.link, &standing.current),
                                      std::pair(previous_link(app->config), &standing.previous)}) {
    auto named = releases->named_by(link);
    if (named)
      *release = *std::move(named);
    else
      standing.error = named.error().text();
  }
  return standing;
}

std::string verdict_of(const Standing& standing) {
  const auto verdict = standing.state.verdict(standing.current);
  return std::string(verdict ? mark_name(*verdict) : "-");
}

// What a person should do next; nothing if all is well.
std::optional<std::string> next_step(const Standing& standing) {
  const State& state = standing.state;
  if (!standing.error.empty())
    return fmt::format(
        "mend what the error names; a record that cannot be read is set aside by 'safe-deploy reconcile {}'",
        standing.app);
  if (state.phase == Phase::stuck)
    return fmt::format(
        "see 'journalctl -u safe-deploy-rollback@{0}.service -u {1}', mend the cause, 'systemctl "
        "reset-failed {1}', "
        "'safe-deploy deploy {0}' or 'safe-deploy rollback {0}'",
        standing.app, standing.unit);
  if (state.phase != Phase::idle)
    return fmt::format(
        "'journalctl -fu safe-deploy@{0}.service'; where no unit is at work, 'safe-deploy rollback {0}'",
        standing.app);
  if (standing.current.empty()) return fmt::format("'safe-deploy deploy {}'", standing.app);
  if (!state.is(standing.current, Mark::good))
    return fmt::format(
        "nothing proves that {1} is good: 'safe-deploy enable {0}' records a healthy release as good",
        standing.app, standing.current);
  return std::nullopt;
}

Json to_json(const Standing& standing) {
  Json object = parse_json(state_to_json(standing.app, standing.state));
  object["unit"] = standing.unit;
  object["unit_state"] = standing.unit_state;
  object["current"] = standing.current;
  object["previous"] = standing.previous;
  object["error"] = standing.error;
  object["next_step"] = next_step(standing).value_or("");
  return object;
}

void print_table(const std::vector<Standing>& standings) {
  std::size_t app = 3;
  std::size_t current = 7;
  std::size_t unit = 4;
  for (const auto& standing : standings) {
    app = std::max(app, standing.app.size());
    current = std::max(current, standing.current.size());
    unit = std::max(unit, standing.unit_state.size());
  }
  fmt::print("{:<{}}  {:<12}  {:<{}}  {:<7}  {:<{}}  {}\n", "APP", app, "PHASE", "CURRENT", current,
             "VERDICT", "UNIT", unit, "LAST DEPLOY");
  for (const auto& standing : standings) {
    const auto& last = standing.state.last;
    const std::string tail =
        !standing.error.empty() ? standing.error
        : last.release.empty()
            ? "-"
            : fmt::format("{}: {}", last.release, last.outcome.empty() ? "under way" : last.outcome);
    fmt::print("{:<{}}  {:<12}  {:<{}}  {:<7}  {:<{}}  {}\n", standing.app, app,
               phase_name(standing.state.phase), standing.current.empty() ? "-" : standing.current, current,
               verdict_of(standing), standing.unit_state, unit, tail);
  }
}

void print_one(const Standing& standing) {
  const State& state = standing.state;
  const auto row = [](std::string_view name, const std::string& value) {
    if (!value.empty()) fmt::print("{:>12}: {}\n", name, value);
  };
  row("app", standing.app);
  row("error", standing.error);
  row("unit", fmt::format("{}, {}", standing.unit, standing.unit_state));
  row("phase",
      fmt::format("{}{}", phase_name(state.phase), state.since.at.empty() ? "" : " since " + state.since.at));
  row("current", standing.current.empty()
                     ? "(none)"
                     : fmt::format("{} ({})", standing.current,
                                   verdict_of(standing) == "-" ? "no verdict" : verdict_of(standing)));
  row("previous", standing.previous);
  if (state.phase != Phase::idle) row("candidate", state.candidate);
  row("failure", printable(state.failure));
  row("stuck", printable(state.stuck));
  row("lost", printable(state.lost));
  if (!state.last.release.empty())
    row("last deploy", fmt::format("{} from {}, {}{}{}", state.last.release,
                                   state.last.from.empty() ? "(none)" : state.last.from,
                                   state.last.outcome.empty() ? "under way" : state.last.outcome,
                                   state.last.reason.empty() ? "" : ": ", printable(state.last.reason)));
  for (const auto& [name, record] : state.releases)
    row(mark_name(record.verdict), fmt::format("{} since {}{}{}", name, record.at,
                                               record.reason.empty() ? "" : ": ", printable(record.reason)));
  row("next", next_step(standing).value_or(""));
}

} // namespace

Result<int> status(const CommandLine& line, Reporter& report) {
  if (line.arguments.size() > 1) return fail(Outcome::usage, line.arguments[1], "one APP at most");
  auto bus = Bus::open_system();
  Bus* asked = bus ? &*bus : nullptr;
  if (!line.arguments.empty()) {
    auto app = load_app(line, line.arguments.front(), report); // its errors are the answer here
    if (!app) return forward_error(app);
    const Standing standing = look(line, line.arguments.front(), asked, report);
    if (line.has("json"))
      fmt::print("{}\n", to_text(to_json(standing)));
    else
      print_one(standing);
    return standing.error.empty() ? 0 : static_cast<int>(Outcome::no);
  }
  auto names = list_apps(directories(line).config);
  if (!names) return forward_error(names);
  std::vector<Standing> standings;
  for (const auto& name : *names) standings.push_back(look(line, name, asked, report));
  if (line.has("json")) {
    Json apps = Json::array();
    for (const auto& standing : standings) apps.push_back(to_json(standing));
    fmt::print("{}\n", to_text(Json{{"apps", std::move(apps)}}));
  } else if (standings.empty()) {
    report.say(Priority::info, fmt::format("no app is configured in {}", directories(line).config));
  } else {
    print_table(standings);
  }
  return 0;
}

} // namespace safe_deploy::command
