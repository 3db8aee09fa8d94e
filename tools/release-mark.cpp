#include "app.hpp"
#include "bus.hpp"
#include "incidents.hpp"
#include "json.hpp"
#include "ledger.hpp"
#include "message_ids.hpp"
#include "name.hpp"
#include "options.hpp"
#include "quantity.hpp"
#include "releases.hpp"
#include "unit_names.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>

using namespace safe_deploy;

namespace {

// ExecCondition= of systemd.service(5): a status of 1 to 254 skips the unit, which then has not failed. A
// question that only conditions ask must not do that when it cannot be answered.
constexpr int no_condition = 255;

constexpr Option options[] = {
    {0, "reason", "TEXT", "why, for the record"},
    {0, "is", "WHAT",
     "only answer by the exit status, 0 or 1: a phase (idle,\n"
     "prepared, swapped, probation, rolling-back, stuck),\n"
     "good, bad (of RELEASE or the current one), outdated\n"
     "or rollback-due"},
    {0, "list", "", "show all releases with what is known of them"},
    json_option,
    quiet_option,
    app_option,
    config_dir_option,
    state_dir_option,
    run_dir_option,
};

constexpr ToolDescription tool{
    .name = "release-mark",
    .usage =
        "--app NAME [OPTIONS] good|bad|clear [RELEASE]\n"
        "       release-mark --app NAME [OPTIONS] passed|held|failing|stuck\n"
        "       release-mark --app NAME --is WHAT [RELEASE]\n"
        "       release-mark --app NAME --list",
    .summary = "Record or show what is known of an app's releases.",
    .options = options,
    .epilogue =
        "good, bad: the verdict on RELEASE, or on the candidate or current one. passed:\n"
        "the health gate is passed. held: the probation is over, all is well. failing:\n"
        "why the candidate fails, for the rollback. stuck: a person is needed. clear:\n"
        "forget the verdict.\n"
        "Exit status: 0 done or yes, 1 no or refused, 2 usage, 71 system error,\n"
        "75 locked, 78 wrong configuration, 255 what units ask (outdated, rollback-due,\n"
        "probation, idle) can't be told.\n"};

Result<std::string> current_release(const Config& config) {
  auto releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  return releases->named_by(config.link);
}

// RELEASE where given, else `otherwise`, else the current one.
Result<std::string> release_meant(const CommandLine& line, std::size_t index, const Config& config,
                                  const std::string& otherwise) {
  if (line.arguments.size() > index) return parse_release_name(line.arguments[index]);
  if (!otherwise.empty()) return otherwise;
  auto current = current_release(config);
  if (current && current->empty()) return fail(Outcome::no, config.link, "names no release");
  return current;
}

// A deploy that is refused ends as a unit that failed, and so comes here, too, as does one whose hooks failed
// when it had passed. What is on probation is not to be left for that: as long as its watch goes on, nothing
// speaks against it, and nobody has asked. A watch that has not begun, because the unit of the deploy failed
// after all, is begun here.
Result<bool> is_well_on_probation(const App& app) {
  const auto state = Ledger::read(app.places.state_dir, app.config.app);
  if (!state || state->phase != Phase::probation || !state->failure.empty() || !state->condemned.empty())
    return false;
  auto asked = is_rollback_asked_for(app.places, app.config.app);
  if (!asked || *asked) return asked.map([](bool yes) { return !yes; });
  auto bus = Bus::open_system();
  const auto watch =
      bus ? bus->unit(watch_unit(app.config.app)) : Result<UnitState>(tl::unexpected<Error>(bus.error()));
  if (!watch) return false;
  const bool has_begun = state->since.boot != Moment::now().boot ||
                         std::chrono::duration<double>(watch->inactive_exit.time_since_epoch()).count() >=
                             state->since.monotonic;
  if (watch->active_state == "inactive" && !watch->has_job && !has_begun)
    return bus->queue_job("StartUnit", watch_unit(app.config.app)).has_value();
  return watch->active_state == "active" || watch->active_state == "activating" ||
         (watch->active_state == "inactive" && watch->has_job);
}

// On probation the app serves. It is not to be stopped for a rollback that can't be: then a person is called,
// and decides.
Result<void> can_be_left(const CommandLine& line, const App& bare, Reporter& report) {
  const auto state = Ledger::read(bare.places.state_dir, bare.config.app);
  if (!state || state->phase != Phase::probation) return {};
  auto app = load_app(line, bare.config.app, report);
  if (!app) return {}; // it is left all the same
  auto would =
      roll_back(app->config, app->places, {.release = {}, .reason = "", .durable = true, .dry_run = true});
  if (would || would.error().outcome() != Outcome::no) return {};
  return forward_error(would);
}

// Whether a rollback unit has something to do: a candidate is live, for which the record alone is asked (a
// rollback must not hang on a configuration that broke meanwhile), or somebody asked for a rollback that can
// be done. One that can't be is refused here, before the app is stopped for it.
Result<bool> is_rollback_due(const CommandLine& line, Reporter& report) {
  auto bare = app_without_config(line, line.value("app"), report);
  if (!bare) return forward_error(bare);
  auto due = has_candidate_to_leave(bare->places, bare->config.app);
  // Nor is the app to be stopped for one that cannot be recorded: of a candidate that is healthy, that may be
  // all that it failed in. (access(2) tells root of EROFS, too.)
  const std::string record = fmt::format("{}/{}", bare->places.state_dir, bare->config.app);
  if (due && *due && access(record.c_str(), W_OK) < 0 && errno == EROFS)
    return fail_errno(record, "a rollback is due and cannot be recorded");
  if (due && *due) {
    auto well = is_well_on_probation(*bare);
    if (well && !*well)
      if (auto can = can_be_left(line, *bare, report); !can) return forward_error(can);
    if (!well || !*well) return well.map([](bool) { return true; });
    report.say(Priority::notice,
               fmt::format("nothing speaks against what is on probation: it stays; 'safe-deploy rollback {}' "
                           "leads back from it",
                           bare->config.app));
    return false;
  }
  if (!due) return due;
  auto asked = is_rollback_asked_for(bare->places, bare->config.app);
  if (!asked || !*asked) return asked;
  auto app = load_app(line, bare->config.app, report);
  if (!app) return forward_error(app);
  auto would =
      roll_back(app->config, app->places, {.release = {}, .reason = "", .durable = true, .dry_run = true});
  if (would || would.error().outcome() != Outcome::no) return would.map([](const Moved&) { return true; });
  report.say(Priority::error, fmt::format("refused: {}", would.error().text()));
  return false;
}

Result<bool> answer(const CommandLine& line, const std::string& what, Reporter& report) {
  const std::string name = line.value("app");
  if (what == "rollback-due") return is_rollback_due(line, report);
  if (const auto phase = parse_phase(what)) {
    auto bare = app_without_config(line, name, report);
    if (!bare) return forward_error(bare);
    auto state = Ledger::read(bare->places.state_dir, bare->config.app);
    if (!state) return forward_error(state);
    return state->phase == *phase;
  }
  if (what != "outdated" && what != "good" && what != "bad")
    return fail(
        Outcome::usage, "--is",
        fmt::format("'{}' is neither a phase, good, bad, outdated nor rollback-due", printable(what, 40)));
  auto app = load_app(line, name, report);
  if (!app) return forward_error(app);
  if (what == "outdated") return is_outdated(app->config, app->places);
  auto release = release_meant(line, 0, app->config, "");
  if (!release) return forward_error(release);
  auto state = Ledger::read(app->places.state_dir, app->config.app);
  if (!state) return forward_error(state);
  return state->is(*release, what == "good" ? Mark::good : Mark::bad);
}

struct Row {
  std::string release;
  std::string verdict; // "good", "bad" or "-"
  std::string roles;   // "current", "previous", "candidate", "gone"
  std::string at;
  std::string reason;
};

Result<std::vector<Row>> rows(const Config& config, const State& state) {
  auto releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  auto current = releases->named_by(config.link);
  if (!current) return forward_error(current);
  auto previous = releases->named_by(previous_link(config));
  if (!previous) return forward_error(previous);
  std::vector<std::string> names = releases->names();
  for (const auto& [name, record] : state.releases)
    if (!releases->contains(name)) names.push_back(name);
  std::vector<Row> rows;
  for (const auto& name : names) {
    Row row{name, "-", "", "", ""};
    if (const auto record = state.releases.find(name); record != state.releases.end()) {
      row.verdict = mark_name(record->second.verdict);
      row.at = record->second.at;
      row.reason = record->second.reason;
    }
    const auto add = [&](bool holds, const char* role) {
      if (holds) row.roles += row.roles.empty() ? role : fmt::format(",{}", role);
    };
    add(name == *current, "current");
    add(name == *previous, "previous");
    add(state.phase != Phase::idle && name == state.candidate, "candidate");
    add(!releases->contains(name), "gone");
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<int> list(const CommandLine& line, Reporter& report) {
  auto app = load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  auto state = Ledger::read(app->places.state_dir, app->config.app);
  if (!state) return forward_error(state);
  auto table = rows(app->config, *state);
  if (!table) return forward_error(table);
  if (line.has("json")) {
    Json object = parse_json(state_to_json(app->config.app, *state));
    Json listed = Json::array();
    for (const auto& row : *table)
      listed.push_back({{"release", row.release},
                        {"verdict", row.verdict},
                        {"roles", row.roles},
                        {"at", row.at},
                        {"reason", row.reason}});
    for (const auto& row : *table)
      if ((row.roles + ",").starts_with("current,")) object["current"] = row.release; // the link is the truth
    object["list"] = std::move(listed);
    fmt::print("{}\n", to_text(object));
    return 0;
  }
  std::size_t width = 7;
  std::size_t roles = 5;
  for (const auto& row : *table) {
    width = std::max(width, row.release.size());
    roles = std::max(roles, row.roles.size());
  }
  fmt::print("{:<{}}  {:<7}  {:<{}}  {:<24}  {}\n", "RELEASE", width, "VERDICT", "ROLES", roles, "SINCE",
             "REASON");
  for (const auto& row : *table)
    fmt::print("{:<{}}  {:<7}  {:<{}}  {:<24}  {}\n", row.release, width, row.verdict, row.roles, roles,
               row.at, printable(row.reason));
  return 0;
}

// What a mark did, and the one sentence that tells it.
struct Marked {
  std::string release;
  std::string sentence;
  MessageId id = {};
  Priority priority = Priority::notice;
  // What went wrong before it, and when that was over; for a person to look into.
  std::optional<Incident> incident = {};
  std::string until = {};
};

Result<Marked> mark_passed(Ledger::Change& change, const Config& config) {
  State& state = change.state();
  const bool rolled_back = state.phase == Phase::rolling_back;
  const Moment now = Moment::now();
  if (state.phase == Phase::idle) {
    auto current = current_release(config);
    if (!current) return forward_error(current);
    if (!state.is(*current, Mark::good)) return fail(Outcome::no, config.app, "no deploy is under way");
    return Marked{*current, fmt::format("{} is good already", *current)};
  }
  if (state.phase == Phase::probation) return fail(Outcome::no, config.app, what_is_under_way(state, config));
  const std::string left = state.candidate;
  const std::string release = rolled_back ? state.target : state.candidate;
  const std::string until = state.since.at;
  const Duration probation = config.watch_duration;
  if (auto done = change.commit(step::passed(state, probation > Duration::zero(), now)); !done)
    return forward_error(done);
  if (state.phase == Phase::probation)
    return Marked{release,
                  fmt::format("{} is healthy, on probation for {}", release, format_duration(probation)),
                  message_on_probation};
  if (!rolled_back) return Marked{release, fmt::format("{} is good", release), message_deployed};
  Marked marked{release, fmt::format("{} is good", release), message_rolled_back, Priority::warning};
  if (left == release) return marked;
  marked.sentence = fmt::format("rolled back{}{} to {}: {}", left.empty() ? "" : " from ", left, release,
                                state.last.reason);
  // What a person has asked for, of a release that was good, nobody has to look into.
  if (state.last.release != left || state.last.reason == rolled_back_by_hand) return marked;
  marked.incident = Incident{.kind = "rolled-back",
                             .app = config.app,
                             .release = left,
                             .reason = state.last.reason,
                             .done = fmt::format("rolled back to {}, which is healthy", release)};
  marked.until = until;
  return marked;
}

// The probation is over, as its watch has it.
Result<Marked> mark_held(Ledger::Change& change, const Config& config) {
  State& state = change.state();
  if (state.phase == Phase::idle && state.is(state.current, Mark::good))
    return Marked{state.current, fmt::format("{} is good already", state.current)};
  const std::string release = state.candidate;
  if (auto done = change.commit(step::held(state, Moment::now())); !done) return forward_error(done);
  return Marked{
      release,
      config.watch_duration > Duration::zero()
          ? fmt::format("{} is good, after {} on probation", release, format_duration(config.watch_duration))
          : fmt::format("{} is good", release),
      message_deployed};
}

Result<Marked> mark_release(Ledger::Change& change, const CommandLine& line, const Config& config,
                            const std::string& what) {
  State& state = change.state();
  auto release = release_meant(
      line, 1, config, state.has_candidate() && state.phase != Phase::rolling_back ? state.candidate : "");
  if (!release) return forward_error(release);
  const Moment now = Moment::now();
  if (what == "clear") {
    if (auto done = change.commit(step::clear(state, *release, now)); !done) return forward_error(done);
    return Marked{*release, fmt::format("{} has no verdict now", *release)};
  }
  auto releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  if (!releases->contains(*release))
    return fail(Outcome::no, fmt::format("{}/{}", config.releases, *release), "no such release");
  const Mark mark = what == "good" ? Mark::good : Mark::bad;
  if (auto done = change.commit(step::mark(state, *release, mark, line.value("reason"), now)); !done)
    return forward_error(done);
  return Marked{*release, fmt::format("{} is {}", *release, what)};
}

Result<Marked> mark_stuck(Ledger::Change& change, const std::string& app, const std::string& reason) {
  State& state = change.state();
  // At rest nothing has failed; unless the record that knew was lost.
  const bool lost = !state.lost.empty();
  if (auto done = change.commit(step::stuck(state, lost ? state.lost : reason, Moment::now(),
                                            lost ? step::Blame::nobody : step::Blame::candidate));
      !done)
    return forward_error(done);
  return Marked{state.candidate, fmt::format("stuck, a person is needed: {}", state.stuck), message_stuck,
                Priority::error,
                Incident{.kind = "stuck",
                         .app = app,
                         .release = state.candidate,
                         .reason = state.stuck,
                         .done = "nothing more is tried without a person"}};
}

// After what was to be done is done: no deploy and no rollback waits for it.
void hand_over(const Marked& marked, const App& app, const LastDeploy& deploy, const CommandLine& line,
               Reporter& report) {
  if (!marked.incident) return;
  Incident incident = *marked.incident;
  std::string unit = app.config.unit;
  if (unit.empty())
    if (const auto config = load_config(directories(line).config, app.config.app); config)
      unit = config->unit;
  incident.lines = last_lines(unit, deploy, marked.until);
  (void)report_incident(app.places, std::move(incident), report);
}

// The first reason is kept, and told by the rollback that follows. Where no candidate is live nobody asks for
// it. It comes from a start that has failed, which is not to be held up.
Result<int> note_failing(const CommandLine& line, Reporter& report) {
  if (line.value("reason").empty()) return fail(Outcome::usage, "--reason", "is needed");
  auto app = app_without_config(line, line.value("app"), report);
  if (!app) return forward_error(app);
  auto state = Ledger::read(app->places.state_dir, app->config.app);
  if (!state) return forward_error(state);
  if (!state->has_candidate()) return 0;
  auto change = Ledger::Change::begin(app->places.state_dir, app->config.app, std::chrono::seconds(1));
  if (!change) return forward_error(change);
  if (!change->state().has_candidate()) return 0;
  auto noted = change->commit(step::note_failure(change->state(), line.value("reason"), Moment::now()));
  if (!noted) return forward_error(noted);
  return 0;
}

Result<int> change_record(const CommandLine& line, Reporter& report) {
  const std::string what = line.arguments.empty() ? "" : line.arguments[0];
  if (what == "failing") {
    if (line.arguments.size() > 1) return fail(Outcome::usage, line.arguments[1], "is one argument too many");
    return note_failing(line, report);
  }
  const bool names_release = what == "good" || what == "bad" || what == "clear";
  if (!names_release && what != "passed" && what != "held" && what != "stuck")
    return fail(Outcome::usage, fmt::format("'{}'", printable(what, 40)),
                "is none of good, bad, passed, held, failing, stuck, clear");
  const std::size_t most = names_release ? 2 : 1;
  if (line.arguments.size() > most)
    return fail(Outcome::usage, line.arguments[most], "is one argument too many");
  // That a person is needed is recorded whatever has become of the configuration.
  auto app = what == "stuck" ? app_without_config(line, line.value("app"), report)
                             : load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  // What the link names is of use only where the record is lost, and must not keep it from being changed.
  const std::string current = app->config.link.empty() ? "" : current_release(app->config).value_or("");
  auto change = Ledger::Change::begin(app->places.state_dir, app->config.app, lock_patience, current);
  if (!change) return forward_error(change);
  if (!change->set_aside().empty())
    report.say(Priority::warning, change->set_aside(), message_record_set_aside);
  auto marked = what == "passed"  ? mark_passed(*change, app->config)
                : what == "held"  ? mark_held(*change, app->config)
                : what == "stuck" ? mark_stuck(*change, app->config.app, line.value("reason"))
                                  : mark_release(*change, line, app->config, what);
  if (!marked) return forward_error(marked);
  report.set_field("SAFE_DEPLOY_RELEASE", marked->release);
  if (line.has("json")) {
    fmt::print("{}\n", state_to_json(app->config.app, change->state()));
  } else if (report.in_journal()) {
    report.say(marked->priority, fmt::format("{}: {}", app->config.app, marked->sentence), marked->id);
  } else if (!line.has("quiet")) {
    fmt::print("{}: {}\n", app->config.app, marked->sentence);
  }
  const LastDeploy deploy = change->state().last;
  { const Ledger::Change unlocked = *std::move(change); }
  hand_over(*marked, *app, deploy, line, report);
  return 0;
}

Result<int> run(const CommandLine& line, Reporter& report) {
  if (!line.has("app")) return fail(Outcome::usage, "--app", "is needed");
  const auto excluded = [&](const char* by, std::initializer_list<const char*> others) -> Result<void> {
    for (const char* option : others)
      if (line.has(option))
        return fail(Outcome::usage, fmt::format("--{}", option), fmt::format("does not go with {}", by));
    return {};
  };
  if (line.has("list")) {
    if (!line.arguments.empty()) return fail(Outcome::usage, line.arguments[0], "does not go with --list");
    if (auto alone = excluded("--list", {"is", "reason"}); !alone) return forward_error(alone);
    return list(line, report);
  }
  if (!line.has("is")) {
    const std::string verb = line.arguments.empty() ? "" : line.arguments[0];
    if (verb == "passed" || verb == "held" || verb == "clear")
      if (auto alone = excluded(verb.c_str(), {"reason"}); !alone) return forward_error(alone);
    return change_record(line, report);
  }
  if (auto alone = excluded("--is", {"reason", "json"}); !alone) return forward_error(alone);
  const std::string what = line.value("is");
  const std::size_t most = what == "good" || what == "bad" ? 1 : 0;
  if (line.arguments.size() > most)
    return fail(Outcome::usage, line.arguments[most], "is one argument too many");
  auto yes = answer(line, what, report);
  if (yes) return *yes ? 0 : 1;
  // What the units ask by ExecCondition=.
  if (what != "outdated" && what != "rollback-due" && what != "probation" && what != "idle")
    return forward_error(yes);
  report.say(Priority::error, yes.error().text());
  return no_condition;
}

} // namespace

int main(int argc, char** argv) {
  return run_tool(argc, argv, tool, run);
}
