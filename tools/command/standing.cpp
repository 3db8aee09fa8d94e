#include "standing.hpp"

#include "checks/port_check.hpp"
#include "command.hpp"
#include "deploys.hpp"
#include "releases.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace safe_deploy::command {

namespace {

std::string state_of(const UnitState& unit) {
  if (unit.load_state != "loaded") return unit.load_state;
  if (unit.sub_state.empty()) return unit.active_state;
  return fmt::format("{} ({})", unit.active_state, unit.sub_state);
}

void look_at_units(Standing& standing, Bus* bus) {
  standing.unit_state = "unknown";
  if (bus == nullptr) return;
  if (auto told = bus->unit(standing.unit)) {
    standing.unit_state = state_of(*told);
    standing.unit_told = std::move(*told);
  }
  // At rest nobody is at work on it, or has not begun to change anything.
  if (standing.state.phase == Phase::idle || standing.state.phase == Phase::stuck) return;
  standing.busy_known = true;
  for (const auto& unit :
       {deploy_unit(standing.app), rollback_unit(standing.app), watch_unit(standing.app)}) {
    auto told = bus->unit(unit);
    if (!told) standing.busy_known = false;
    if (told && told->is_at_work()) standing.deploy_busy = true;
  }
}

void look_at_links(Standing& standing) {
  auto releases = Releases::open(standing.config);
  if (!releases) {
    standing.error = releases.error().text();
    return;
  }
  for (const auto& [link, release] : {std::pair(standing.config.link, &standing.current),
                                      std::pair(previous_link(standing.config), &standing.previous)}) {
    auto named = releases->named_by(link);
    if (named)
      *release = *std::move(named);
    else
      standing.error = named.error().text();
  }
}

void look_at_releases(Standing& standing) {
  std::vector<StandingRelease>& all = standing.releases;
  auto releases = Releases::open(standing.config);
  if (releases)
    for (const auto& name : releases->names()) all.push_back({.name = name, .roles = {}, .record = {}});
  for (const auto& [name, record] : standing.state.releases) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&, &known = name](const auto& each) { return each.name == known; });
    if (found != all.end())
      found->record = record;
    else
      all.push_back({.name = name, .roles = {"gone"}, .record = record});
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return Releases::is_before(b.name, a.name); });
  for (auto& release : all) {
    const auto is = [&](const std::string& name, const char* role) {
      if (release.name == name) release.roles.emplace_back(role);
    };
    is(standing.current, "current");
    is(standing.previous, "previous");
    if (standing.state.phase != Phase::idle) is(standing.state.candidate, "candidate");
    if (standing.state.phase == Phase::rolling_back) is(standing.state.target, "target");
    if (!releases || release.record || !release.roles.empty()) continue;
    if (auto lacks = releases->lacks(release.name); lacks && *lacks) release.roles.emplace_back("incomplete");
  }
}

// From when the probation counts: after a reboot it began again with its unit.
void look_at_clock(Standing& standing, Bus* bus) {
  const Moment now = Moment::now();
  const Moment& since = standing.state.since;
  if (!since.boot.empty() && since.boot == now.boot && now.monotonic >= since.monotonic)
    standing.phase_seconds = now.monotonic - since.monotonic;
  if (standing.state.phase != Phase::probation) return;
  std::optional<double> passed = standing.phase_seconds;
  if (!passed && bus != nullptr)
    if (auto watch = bus->unit(watch_unit(standing.app)); watch && watch->is_at_work())
      passed = std::chrono::duration<double>(Clock::now() - watch->inactive_exit).count();
  const double whole = std::chrono::duration<double>(standing.config.watch_duration).count();
  if (passed) standing.probation_left = std::max(0.0, whole - *passed);
}

void look_at_port(Standing& standing) {
  if (standing.config.listen.empty()) return;
  auto target = parse_target(standing.config.listen);
  if (!target) return;
  PortQuestion question;
  question.target = *target;
  standing.port_told = {{"listen", standing.config.listen}};
  if (!is_observable(*target)) {
    standing.port = fmt::format("{} (not a port of this machine: not looked at)", port_label(*target));
    return;
  }
  const auto check = make_port_check(question, std::make_shared<Sockets>());
  const Answer answer = check->ask(Deadline::after(std::chrono::milliseconds(200)));
  standing.port_told["listening"] = answer.good();
  standing.port_told["message"] = answer.sentence;
  standing.port = answer.sentence;
  const auto port_holder = check->holder();
  if (!port_holder) return;
  const Holder& holder = port_holder->holder;
  standing.port = fmt::format("{} is held by {}", port_label(*target), holder.text());
  Json& told = standing.port_told["holder"];
  told["uid"] = holder.uid;
  if (holder.pid != 0) told["pid"] = holder.pid;
  if (!holder.command.empty()) told["command"] = holder.command;
  if (!holder.unit.empty()) told["unit"] = holder.unit;
  if (!holder.unknown.empty()) told["unknown"] = holder.unknown;
}

// The newest good release that is there and not current.
std::string other_good(const Standing& standing) {
  for (const auto& release : standing.releases) {
    const bool gone = std::find(release.roles.begin(), release.roles.end(), "gone") != release.roles.end();
    if (!gone && release.record && release.record->verdict == Mark::good && release.name != standing.current)
      return release.name;
  }
  return "";
}

// A word of a command line, for a shell: releases may be called anything.
std::string quoted(const std::string& word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,:/@%+=-";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

void add_stuck(const Standing& standing, std::vector<NextStep>& steps) {
  const std::string& app = standing.app;
  const std::string unit = quoted(standing.unit);
  NextStep step{"a person is needed: look for the cause, mend it, then roll back or deploy by name", {}};
  step.commands.push_back(
      fmt::format("journalctl -b -n 100 -u {} -u {} -u {}", deploy_unit(app), rollback_unit(app), unit));
  step.commands.push_back(fmt::format("safe-deploy check {}", app));
  step.commands.push_back(fmt::format("systemctl reset-failed {}", unit));
  const std::string good =
      standing.state.is(standing.current, Mark::good) ? standing.current : other_good(standing);
  if (!good.empty())
    step.commands.push_back(fmt::format("safe-deploy rollback {} --to {}", app, quoted(good)));
  else
    step.commands.push_back(fmt::format("safe-deploy rollback {} --to RELEASE", app));
  step.commands.push_back(fmt::format("safe-deploy deploy {} RELEASE", app));
  if (good.empty())
    step.why += fmt::format("; no release is good now: 'safe-deploy history {}' tells which ran well", app);
  steps.push_back(std::move(step));
}

void add_under_way(const Standing& standing, std::vector<NextStep>& steps) {
  const std::string& app = standing.app;
  if (standing.deploy_busy) {
    if (standing.state.phase != Phase::probation)
      steps.push_back({"a deploy is under way: watch it",
                       {fmt::format("journalctl -f -u {} -u {}", deploy_unit(app), rollback_unit(app))}});
    return;
  }
  if (standing.state.phase == Phase::probation) {
    if (standing.busy_known)
      steps.push_back(
          {fmt::format("nothing watches the probation of {}: watch it, or go back", standing.state.candidate),
           {fmt::format("systemctl start {}", watch_unit(app)),
            fmt::format("safe-deploy rollback {}", app)}});
    return;
  }
  const char* why = standing.busy_known
                        ? "a deploy was cut short: no unit is at work on it"
                        : "a deploy is under way; where no unit is at work on it, it was cut short";
  NextStep step{why, {fmt::format("systemctl list-units --all 'safe-deploy*@{}.service'", app)}};
  step.commands.push_back(standing.state.phase == Phase::prepared
                              ? fmt::format("safe-deploy reconcile {}", app)
                              : fmt::format("safe-deploy rollback {}", app));
  steps.push_back(std::move(step));
}

// Of an app that should run.
void add_unit(const Standing& standing, std::vector<NextStep>& steps) {
  const std::string unit = quoted(standing.unit);
  const std::string& told = standing.unit_state;
  if (!standing.unit_told || standing.unit_told->is_busy()) return;
  if (told == "not-found")
    steps.push_back(
        {fmt::format("systemd knows no {}: write its file, or correct [app] unit", standing.unit),
         {fmt::format("systemctl list-unit-files '*{}*'", standing.app), "systemctl daemon-reload"}});
  else if (told == "masked")
    steps.push_back({fmt::format("{} is masked: nothing can start it", standing.unit),
                     {fmt::format("systemctl unmask {}", unit)}});
  else if (standing.unit_told->load_state != "loaded")
    steps.push_back({fmt::format("{} cannot be loaded", standing.unit),
                     {fmt::format("systemd-analyze verify {}", unit)}});
  else if (standing.unit_told->active_state == "failed")
    steps.push_back(
        {fmt::format("{} has failed ({})", standing.unit, standing.unit_told->result),
         {fmt::format("journalctl -n 50 -u {}", unit), fmt::format("systemctl reset-failed {}", unit),
          fmt::format("systemctl start {}", unit)}});
  else if (standing.unit_told->active_state == "inactive")
    steps.push_back(
        {fmt::format("{} does not run", standing.unit), {fmt::format("systemctl start {}", unit)}});
}

// Of a unit that runs, or whose port somebody else has.
void add_port(const Standing& standing, std::vector<NextStep>& steps) {
  if (!standing.unit_told || !standing.port_told.contains("listening")) return;
  const bool listening = standing.port_told["listening"].get<bool>();
  const bool runs = standing.unit_told->active_state == "active";
  const std::string unit = quoted(standing.unit);
  if (runs && !listening)
    steps.push_back({fmt::format("{} runs, but {}", standing.unit, standing.port),
                     {fmt::format("health-wait --app {} --timeout 5s", standing.app),
                      fmt::format("journalctl -n 50 -u {}", unit)}});
  const auto holder = standing.port_told.find("holder");
  const std::string held_by = holder == standing.port_told.end() ? "" : text_in(*holder, "unit");
  if (!runs && listening && held_by != standing.unit)
    steps.push_back({fmt::format("the port is somebody else's: {}", standing.port),
                     {fmt::format("port-wait --free -t 1s {}", quoted(standing.config.listen)),
                      held_by.empty() ? "ss -ltnp" : fmt::format("systemctl status {}", quoted(held_by))}});
}

// What was asked before the last deploy and said no, while the app is at rest.
void add_refusal(const Standing& standing, std::vector<NextStep>& steps) {
  for (const auto& [when, answers] : standing.answers)
    for (const auto& answer : answers.answers)
      // That there is nothing new, and how the unit was then, is no news.
      if (when == "preflight" && answer.verdict == "failed" && answer.name != "releases" &&
          answer.name != "unit") {
        steps.push_back(
            {fmt::format("a deploy would be refused, or was: {} said no", printable(answer.name, 60)),
             {fmt::format("safe-deploy check {}", standing.app)}});
        return;
      }
}

void add_at_rest(const Standing& standing, std::vector<NextStep>& steps) {
  const std::string& app = standing.app;
  if (standing.current.empty()) {
    steps.push_back({"no release is current", {fmt::format("safe-deploy deploy {}", app)}});
    return;
  }
  add_unit(standing, steps);
  add_port(standing, steps);
  if (standing.unit_told && standing.unit_told->load_state == "loaded" &&
      standing.unit_told->exec_start_post.find("health-wait") == std::string::npos)
    steps.push_back(
        {fmt::format("{} is not guarded: its starts wait neither for the port nor for the health gate",
                     standing.unit),
         {fmt::format("safe-deploy enable {}", app)}});
  const auto verdict = verdict_of(standing);
  if (!verdict)
    steps.push_back(
        {fmt::format("nothing proves that {} is good: if it is healthy, have it recorded", standing.current),
         {fmt::format("safe-deploy enable {}", app)}});
  if (verdict == Mark::bad)
    steps.push_back(
        {fmt::format("{} is current, and is marked bad", standing.current),
         {fmt::format("safe-deploy rollback {}", app), fmt::format("safe-deploy deploy {}", app)}});
}

void add_incidents(const Standing& standing, std::vector<NextStep>& steps) {
  if (standing.open_incidents.empty()) return;
  const std::size_t count = standing.open_incidents.size();
  steps.push_back({fmt::format("{} open: look into {}, and close {} with a note",
                               count == 1 ? "an incident is" : fmt::format("{} incidents are", count),
                               count == 1 ? "it" : "them", count == 1 ? "it" : "each"),
                   {fmt::format("safe-deploy incidents {}", standing.app),
                    fmt::format("safe-deploy incidents {} --close {} --note 'what it was'", standing.app,
                                quoted(standing.open_incidents.front().id))}});
}

Json incident_told(const Incident& incident) {
  return {{"id", incident.id},         {"kind", incident.kind},     {"release", incident.release},
          {"check", incident.check},   {"at", incident.at},         {"last_at", incident.last_at},
          {"count", incident.count},   {"reason", incident.reason}, {"done", incident.done},
          {"open", incident.is_open()}};
}

} // namespace

Standing look(const CommandLine& line, const std::string& name, Bus* bus, Reporter& report) {
  Standing standing;
  standing.app = name;
  standing.unit_state = "unknown";
  auto app = load_app(line, name, report);
  if (!app) {
    standing.error = app.error().text();
    // What the record has is told all the same.
    if (auto bare = app_without_config(line, name, report); bare)
      standing.state = Ledger::read(bare->places.state_dir, bare->config.app).value_or(State{});
    return standing;
  }
  standing.app = app->config.app;
  standing.unit = app->config.unit;
  standing.config = std::move(app->config);
  auto state = Ledger::read(app->places.state_dir, standing.app);
  if (state)
    standing.state = std::move(*state);
  else
    standing.error = state.error().text();
  auto incidents = list_incidents(app->places.state_dir, standing.app);
  if (!incidents && incidents.error().code == std::errc::permission_denied) standing.incidents_hidden = true;
  if (incidents) {
    if (!incidents->empty()) standing.last_incident = incidents->front();
    std::erase_if(*incidents, [](const Incident& incident) { return !incident.is_open(); });
    standing.open_incidents = std::move(*incidents);
  }
  look_at_units(standing, bus);
  look_at_links(standing);
  return standing;
}

void look_closer(Standing& standing, const Places& places, Bus* bus) {
  look_at_releases(standing);
  look_at_clock(standing, bus);
  look_at_port(standing);
  for (const char* when : {"preflight", "health", "watch", "monitor"})
    if (auto answers = last_answers(places.state_dir, standing.app, when); answers && !answers->at.empty())
      standing.answers.emplace_back(when, *std::move(answers));
  if (auto deploys = last_deploys(places.state_dir, standing.app, 1); deploys && !deploys->empty())
    standing.last_deploy = std::move(deploys->front());
}

std::optional<Mark> verdict_of(const Standing& standing) {
  return standing.state.verdict(standing.current);
}

std::vector<NextStep> next_steps(const Standing& standing) {
  std::vector<NextStep> steps;
  if (!standing.error.empty()) {
    steps.push_back({"mend what the error names; a record that cannot be read is set aside by",
                     {fmt::format("safe-deploy reconcile {}", standing.app)}});
    return steps;
  }
  switch (standing.state.phase) {
    case Phase::stuck:
      add_stuck(standing, steps);
      break;
    case Phase::idle:
      add_at_rest(standing, steps);
      break;
    case Phase::prepared:
    case Phase::swapped:
    case Phase::probation:
    case Phase::rolling_back:
      add_under_way(standing, steps);
      break;
  }
  if (standing.state.phase == Phase::idle) add_refusal(standing, steps);
  add_incidents(standing, steps);
  return steps;
}

Json to_json(const Standing& standing) {
  Json object = parse_json(state_to_json(standing.app, standing.state));
  object["unit"] = standing.unit;
  object["unit_state"] = standing.unit_state;
  object["current"] = standing.current;
  object["previous"] = standing.previous;
  object["error"] = standing.error;
  std::string told;
  Json next = Json::array();
  for (const auto& [why, commands] : next_steps(standing)) {
    told += fmt::format("{}{}: '{}'", told.empty() ? "" : "; ", why, fmt::join(commands, "', '"));
    next.push_back({{"why", why}, {"commands", commands}});
  }
  object["next_step"] = told;
  object["next"] = std::move(next);
  Json incidents = Json::array();
  for (const auto& incident : standing.open_incidents) incidents.push_back(incident_told(incident));
  object["open_incidents"] = std::move(incidents);
  if (standing.incidents_hidden) object["open_incidents"] = Json();
  object["last_incident"] = standing.last_incident ? incident_told(*standing.last_incident) : Json();
  return object;
}

Json closer_to_json(const Standing& standing) {
  Json object = to_json(standing);
  object["phase_seconds"] = standing.phase_seconds ? Json(*standing.phase_seconds) : Json();
  object["probation_left"] = standing.probation_left ? Json(*standing.probation_left) : Json();
  object["port"] = standing.port_told;
  Json releases = Json::array();
  for (const auto& [name, roles, record] : standing.releases)
    releases.push_back({{"release", name},
                        {"verdict", record ? Json(mark_name(record->verdict)) : Json()},
                        {"at", record ? record->at : ""},
                        {"reason", record ? record->reason : ""},
                        {"roles", roles}});
  object["all_releases"] = std::move(releases);
  Json checks = Json::object();
  for (const auto& [when, answers] : standing.answers) {
    Json told = Json::array();
    for (const auto& answer : answers.answers)
      told.push_back({{"name", answer.name},
                      {"verdict", answer.verdict},
                      {"reason", answer.reason},
                      {"message", answer.sentence}});
    checks[when] = {{"at", answers.at}, {"answers", std::move(told)}};
  }
  object["checks"] = std::move(checks);
  object["last_deploy"] = standing.last_deploy ? to_json(*standing.last_deploy) : Json();
  return object;
}

} // namespace safe_deploy::command
