#include "beside.hpp"
#include "bus.hpp"
#include "command.hpp"
#include "incidents.hpp"
#include "json.hpp"
#include "last_answers.hpp"
#include "message_ids.hpp"
#include "name.hpp"
#include "program.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace safe_deploy::command {

namespace {

constexpr std::string_view nobody = "safe-deploy monitor";

// Why nothing is to be asked now; empty if nothing is in the way. What is on probation is asked as well.
std::string in_the_way(const App& app, const State& state) {
  if (state.phase == Phase::prepared || state.phase == Phase::swapped || state.phase == Phase::rolling_back)
    return fmt::format("a deploy is under way (phase {})", phase_name(state.phase));
  auto bus = Bus::open_system();
  if (!bus) return "";
  // A job is somebody's: a start or stop that is awaited. A unit that starts itself again has none.
  const auto unit = bus->unit(app.config.unit);
  return unit && unit->has_job ? fmt::format("{} is being started or stopped", app.config.unit) : "";
}

Verdict verdict_of(const std::string& text) {
  for (const Verdict verdict : {Verdict::yes, Verdict::warning, Verdict::skipped})
    if (word(verdict) == text) return verdict;
  return Verdict::no;
}

// Asks by preflight, in a process of its own: what a check loads, and what may hang, stays there.
Result<std::vector<Asking>> ask(const App& app, const CommandLine& line) {
  auto preflight = beside("preflight");
  if (!preflight) return forward_error(preflight);
  const Directories where = directories(line);
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
  Program program({*preflight, "--app", app.config.app, "--when", "monitor", "--json", "--config-dir",
                   where.config, "--state-dir", where.state, "--run-dir", where.run},
                  std::move(environment));
  // The unit has four minutes.
  auto run = program.run(Deadline::after(std::chrono::seconds(210)));
  if (!run) return forward_error(run);
  if (run->end == ProgramRun::End::late)
    return fail(Outcome::timed_out, app.config.app,
                "the monitor's checks take longer than 3m 30s together: see timeout, attempts and interval "
                "of those with "
                "when = monitor");
  const bool ended = run->end == ProgramRun::End::ended && WIFEXITED(run->value);
  const int code = ended ? WEXITSTATUS(run->value) : -1;
  const Json told = code == 0 || code == 1 ? parse_json(run->out) : Json();
  const auto checks = told.is_object() ? told.find("checks") : told.end();
  if (!told.is_object() || checks == told.end() || !checks->is_array()) {
    std::string why = run->err.substr(0, run->err.find('\n'));
    constexpr std::string_view prefix = "preflight: ";
    if (why.starts_with(prefix)) why.erase(0, prefix.size());
    if (why.empty()) why = fmt::format("{} gave no answers", *preflight);
    const Outcome outcome = code == static_cast<int>(Outcome::bad_config) ? Outcome::bad_config
                            : code == static_cast<int>(Outcome::usage)    ? Outcome::usage
                                                                          : Outcome::no;
    return fail(outcome, "", printable(why, 1000));
  }
  std::vector<Asking> answers;
  for (const auto& check : *checks)
    if (check.is_object())
      answers.push_back({text_in(check, "name"),
                         {.verdict = verdict_of(text_in(check, "verdict")),
                          .reason = text_in(check, "reason"),
                          .sentence = text_in(check, "message")},
                         {}});
  return answers;
}

// Tells of one check what has changed since it was asked last. False where that could not be recorded: then
// it is new once more the next time.
class Telling {
 public:
  Telling(const App& app, const State& state, Reporter& report) : app_(app), state_(state), report_(report) {}

  bool tell(const Asking& now, const std::string& before) {
    const Answer& answer = now.answer;
    const std::string is(word(answer.verdict));
    if (is == before) return true;
    const std::string failed(word(Verdict::no));
    const std::string text = fmt::format("{}: {}: {}", app_.config.app, now.name, answer.sentence);
    const auto say = [&](Priority priority, const std::string& what, MessageId id) {
      report_.say(priority, what, id,
                  {{"SAFE_DEPLOY_CHECK", now.name}, {"SAFE_DEPLOY_RELEASE", state_.current}});
    };
    if (is == failed) {
      say(Priority::error, text, message_check_failed);
      return open(now);
    }
    const bool recovered = before == failed && answer.good();
    if (recovered) {
      say(Priority::notice, fmt::format("{} (recovered)", text), message_recovered);
      return close(now);
    }
    if (answer.verdict == Verdict::skipped && !before.empty())
      say(Priority::warning, fmt::format("{} (it cannot be asked any more)", text), {});
    else if (answer.verdict == Verdict::warning)
      say(Priority::warning, text, {});
    else if (!before.empty())
      say(Priority::notice, fmt::format("{} (was: {})", text, before), {});
    // What could not be asked in between has recovered as well.
    return !answer.good() || close(now);
  }

 private:
  bool open(const Asking& now) {
    return report_incident(app_.places,
                           {.kind = "check",
                            .app = app_.config.app,
                            .release = state_.current,
                            .check = now.name,
                            .reason = now.answer.sentence,
                            .done = "told, and nothing else: the monitor never leads back from a release"},
                           report_);
  }

  bool close(const Asking& now) {
    const auto incidents = list_incidents(app_.places.state_dir, app_.config.app);
    if (!incidents) return false;
    bool all = true;
    for (const auto& incident : *incidents) {
      if (!incident.is_open() || incident.kind != "check" || incident.check != now.name) continue;
      const auto closed = close_incident(app_.places.state_dir, app_.config.app, incident.id,
                                         "recovered by itself: " + now.answer.sentence, std::string(nobody));
      if (!closed)
        report_.say(Priority::warning,
                    fmt::format("incident {} is not closed: {}", incident.id, closed.error().text()));
      all = all && closed.has_value();
    }
    return all;
  }

  const App& app_;
  const State& state_;
  Reporter& report_;
};

int tell_nothing(const App& app, const std::string& why, const CommandLine& line) {
  if (line.has("json"))
    fmt::print("{}\n", to_text(Json{{"app", app.config.app}, {"asked", false}, {"message", why}}));
  else if (!line.has("quiet"))
    fmt::print("{}: {}: nothing is asked\n", app.config.app, why);
  return 0;
}

void tell_answers(const App& app, const std::vector<Asking>& answers, const CommandLine& line) {
  if (line.has("json")) {
    Json checks = Json::array();
    for (const auto& asking : answers)
      checks.push_back({{"name", asking.name},
                        {"verdict", word(asking.answer.verdict)},
                        {"reason", asking.answer.reason},
                        {"message", asking.answer.sentence}});
    fmt::print("{}\n",
               to_text(Json{{"app", app.config.app}, {"asked", true}, {"checks", std::move(checks)}}));
    return;
  }
  if (line.has("quiet")) return;
  const auto failed = std::count_if(answers.begin(), answers.end(), [](const Asking& asking) {
    return asking.answer.verdict == Verdict::no;
  });
  fmt::print("{}: {} checks were asked, {} failed\n", app.config.app, answers.size(), failed);
}

} // namespace

Result<int> monitor(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  const std::string& state_dir = app->places.state_dir;
  const std::string& known_as = app->config.app;
  if (geteuid() != 0 && state_dir == usual_directories().state)
    return fail_errno(known_as,
                      fmt::format("the monitor keeps what it finds in {}; to ask only: 'preflight "
                                  "--when monitor --app {}'",
                                  state_dir, known_as),
                      EACCES);
  auto state = Ledger::read(state_dir, known_as);
  if (!state) return forward_error(state);
  if (const std::string why = in_the_way(*app, *state); !why.empty()) return tell_nothing(*app, why, line);
  const auto before = last_answers(state_dir, known_as, "monitor").value_or(LastAnswers{});
  auto answers = ask(*app, line);
  if (!answers) return forward_error(answers);
  // A deploy that began meanwhile has stopped what was asked.
  auto after = Ledger::read(state_dir, known_as);
  if (!after) return forward_error(after);
  std::string why = in_the_way(*app, *after);
  if (why.empty() && after->last.number != state->last.number) why = "a deploy has come in between";
  if (!why.empty()) return tell_nothing(*app, why, line);

  Telling telling(*app, *after, report);
  std::vector<Asking> kept;
  for (const auto& asking : *answers) {
    const auto known =
        std::find_if(before.answers.begin(), before.answers.end(),
                     [&](const LastAnswer& last) { return last.name == printable(asking.name); });
    if (telling.tell(asking, known == before.answers.end() ? "" : known->verdict)) kept.push_back(asking);
  }
  if (auto written = keep_answers(state_dir, known_as, "monitor", kept); !written)
    report.say(Priority::warning, fmt::format("the answers are not kept, and will be told once more: {}",
                                              written.error().text()));
  tell_answers(*app, *answers, line);
  return 0;
}

} // namespace safe_deploy::command
