#include "app.hpp"
#include "checks/context.hpp"
#include "checks/standard.hpp"
#include "checks/standard_names.hpp"
#include "keep_answers.hpp"
#include "late_error.hpp"
#include "message_ids.hpp"
#include "options.hpp"
#include "policy.hpp"
#include "preflight/formats.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "app", "NAME", "the app whose configuration says what is asked"},
    {0, "when", "PHASE", "ask what is asked then: preflight (default), health,\nwatch or monitor"},
    {0, "only", "CHECK", "only this one; repeatable"},
    {0, "list", "", "list the checks and ask none"},
    {0, "explain", "CHECK", "why this check exists, and what to do when it fails"},
    {0, "nagios", "", "print one status line with perfdata; exit with 0 to 3"},
    {0, "prometheus", "", "print metrics in Prometheus' text format"},
    json_option,
    quiet_option,
    config_dir_option,
    state_dir_option,
    run_dir_option,
};

constexpr ToolDescription tool{
    .name = "preflight",
    .usage = "[OPTIONS] --app NAME",
    .summary = "Ask every check of an app once, side by side.",
    .options = options,
    .epilogue =
        "Exit status: 0 no critical check failed, 1 one did, 2 usage, 71 system error,\n"
        "78 wrong configuration; with --nagios 0 ok, 1 warning, 2 critical, 3 unknown.\n"};

// --- what is asked

Result<std::vector<NamedCheck>> make_checks(const App& app, When when,
                                            std::function<void(const Error&)> on_late_error) {
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
  CheckContext context = make_context(app.config, credentials != nullptr ? credentials : "");
  context.on_late_error = std::move(on_late_error);
  if (when != When::preflight) return running_checks(app.config, when, context);
  auto checks = standard_checks(app.config, app.places, context);
  if (!checks) return checks;
  auto configured = configured_checks(app.config, when, context);
  if (!configured) return configured;
  std::move(configured->begin(), configured->end(), std::back_inserter(*checks));
  return checks;
}

auto find_check(std::string_view name, const std::vector<NamedCheck>& checks) {
  return std::find_if(checks.begin(), checks.end(),
                      [&](const NamedCheck& check) { return check.asked.name == name; });
}

// It may be one of another moment.
tl::unexpected<Error> no_such_check(const std::string& name, const Config& config) {
  const auto is_it = [&](const auto& known) { return known == name; };
  const auto section = std::find_if(config.checks.begin(), config.checks.end(),
                                    [&](const CheckSection& one) { return one.name == name; });
  std::vector<std::string_view> moments;
  if (section != config.checks.end())
    for (const auto& [asked, moment] : {std::pair(section->preflight, "preflight"),
                                        {section->health, "health"},
                                        {section->watch, "watch"},
                                        {section->monitor, "monitor"}})
      if (asked) moments.emplace_back(moment);
  if (std::any_of(standard_check_names.begin(), standard_check_names.end(), is_it))
    moments.emplace_back("preflight");
  return fail(Outcome::usage, fmt::format("'{}'", name),
              moments.empty() ? "is none of the checks (--list)"
                              : fmt::format("is asked with --when {}", fmt::join(moments, ", --when ")));
}

Result<void> keep_only(const std::vector<std::string>& names, const Config& config,
                       std::vector<NamedCheck>& checks) {
  if (names.empty()) return {};
  for (const auto& name : names)
    if (find_check(name, checks) == checks.end()) return no_such_check(name, config);
  std::erase_if(checks, [&](const NamedCheck& check) {
    return std::find(names.begin(), names.end(), check.asked.name) == names.end();
  });
  return {};
}

// --- what is told

// https://no-color.org
bool use_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == 0);
}

// Where stdout is not the table that a person reads, one line says why.
void tell_failure(const preflight::Report& told, const CommandLine& line, Reporter& report) {
  const auto failed = told.with(Verdict::no);
  if (failed.empty()) return;
  constexpr const char* instead_of_table[] = {"quiet", "json", "prometheus"};
  const bool table_is_seen = !report.in_journal() && isatty(STDOUT_FILENO) == 1 &&
                             std::none_of(std::begin(instead_of_table), std::end(instead_of_table),
                                          [&](const char* option) { return line.has(option); });
  if (!table_is_seen)
    report.say(Priority::error, preflight::refusal(told), message_refused,
               {{"SAFE_DEPLOY_CHECK", failed.front()->name}});
}

// In the journal, where the table would end up as well, what is not well is enough.
void tell_journal(const preflight::Report& told, Reporter& report) {
  const auto skipped = told.with(Verdict::skipped);
  for (const Verdict verdict : {Verdict::warning, Verdict::skipped})
    for (const Asking* asking : told.with(verdict)) {
      const bool warned = verdict == Verdict::warning;
      report.say(warned ? Priority::warning : Priority::info,
                 fmt::format("{}{}: {}", asking->name, warned ? "" : " is skipped", asking->answer.sentence),
                 {}, {{"SAFE_DEPLOY_CHECK", asking->name}});
    }
  if (told.with(Verdict::no).empty())
    report.say(Priority::info,
               fmt::format("{} checks were asked, none failed", told.answers.size() - skipped.size()));
}

constexpr std::string_view nothing_is_asked = "no check is asked then";

int tell(const preflight::Report& told, const CommandLine& line, Reporter& report) {
  if (line.has("nagios")) {
    int code = 0;
    fmt::print("{}\n", preflight::nagios(told, code));
    return code;
  }
  if (line.has("prometheus"))
    fmt::print("{}", preflight::prometheus(told));
  else if (line.has("json"))
    fmt::print("{}", preflight::json(told));
  else if (!report.in_journal() && !line.has("quiet"))
    fmt::print("{}", preflight::table(told, use_colour()));
  if (told.answers.empty())
    report.say(Priority::info, nothing_is_asked);
  else if (report.in_journal())
    tell_journal(told, report);
  tell_failure(told, line, report);
  return told.with(Verdict::no).empty() ? 0 : static_cast<int>(Outcome::no);
}

// --- the run

Result<void> check_arguments(const CommandLine& line) {
  if (!line.arguments.empty()) return fail(Outcome::usage, line.arguments[0], "takes no argument");
  if (!line.has("app")) return fail(Outcome::usage, "", "--app is needed");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> apart{{{"nagios", "json"},
                                                                                {"nagios", "prometheus"},
                                                                                {"nagios", "list"},
                                                                                {"nagios", "explain"},
                                                                                {"prometheus", "json"},
                                                                                {"prometheus", "list"},
                                                                                {"prometheus", "explain"}}};
  for (const auto& [one, other] : apart)
    if (line.has(one) && line.has(other))
      return fail(Outcome::usage, fmt::format("--{}", one), fmt::format("does not go with --{}", other));
  return {};
}

// A check of any moment, where none is said.
Result<int> explain(const CommandLine& line, const App& app, When when) {
  const std::string name = line.value("explain");
  std::vector<When> moments{when};
  if (!line.has("when")) moments = {When::preflight, When::health, When::watch, When::monitor};
  for (const When moment : moments) {
    auto checks = make_checks(app, moment, [](const Error&) {});
    if (!checks) return forward_error(checks);
    const auto found = find_check(name, *checks);
    if (found == checks->end()) continue;
    fmt::print("{}", preflight::explanation(*found, app.config, line.has("json")));
    return 0;
  }
  return no_such_check(name, app.config);
}

Result<int> ask_and_tell(const CommandLine& line, Reporter& report) {
  auto when = parse_when(line.value("when", "preflight"));
  if (!when) return forward_error(when);
  auto app = load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  // The unit that asks restarts what its drop-in names (units/safe-deploy@.service).
  const char* restarted = std::getenv("SAFE_DEPLOY_UNIT");
  if (restarted != nullptr && restarted != app->config.unit)
    return fail(Outcome::bad_config, app->config.file,
                fmt::format("[app] unit is {}, but the deploy would restart {}: run 'safe-deploy enable {}'",
                            app->config.unit, restarted, app->config.app));
  const auto late_error = std::make_shared<LateError>();
  if (line.has("explain")) return explain(line, *app, *when);
  auto checks = make_checks(*app, *when, LateError::teller(late_error));
  if (!checks) return forward_error(checks);
  if (auto kept = keep_only(line.values("only"), app->config, *checks); !kept) return forward_error(kept);
  if (line.has("list")) {
    if (checks->empty()) report.say(Priority::info, nothing_is_asked);
    fmt::print("{}", preflight::list(*checks, line.has("json")));
    return 0;
  }
  std::vector<Asked> asked;
  for (const auto& check : *checks) asked.push_back(check.asked);
  const auto answers = ask_once(std::move(asked), Deadline::never());
  if (auto error = late_error->get()) return tl::unexpected<Error>(std::move(*error));
  if (!line.has("only")) keep_last_answers(*app, line.value("when", "preflight"), answers);
  return tell({app->config.app, line.value("when", "preflight"), *checks, answers}, line, report);
}

Result<int> run(const CommandLine& line, Reporter& report) {
  const auto checked = check_arguments(line);
  auto code = checked ? ask_and_tell(line, report) : tl::unexpected<Error>(checked.error());
  // Who reads a plugin's state reads it from stdout, also when there is none.
  constexpr int nagios_unknown = 3;
  if (!code && line.has("nagios")) {
    fmt::print("{}\n", preflight::nagios_unknown(code.error().text()));
    return nagios_unknown;
  }
  return code;
}

} // namespace

int main(int argc, char** argv) {
  const int code = run_tool(argc, argv, tool, run);
  // A check that was given up may still be at it on its thread: nothing is torn down under it.
  (void)std::fflush(stdout);
  std::_Exit(code);
}
