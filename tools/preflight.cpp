#include "app.hpp"
#include "checks/context.hpp"
#include "checks/standard.hpp"
#include "json.hpp"
#include "late_error.hpp"
#include "message_ids.hpp"
#include "options.hpp"
#include "policy.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "app", "NAME", "the app whose configuration says what is asked"},
    {0, "when", "PHASE", "ask what is asked then: preflight (default), health,\nwatch or monitor"},
    {0, "only", "CHECK", "only this one; repeatable"},
    {0, "list", "", "list the checks and ask none"},
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
        "78 wrong configuration.\n"};

// --- what is asked

Result<std::vector<NamedCheck>> make_checks(const App& app, When when,
                                            std::function<void(const Error&)> on_late_error) {
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
  CheckContext context = make_context(app.config, credentials != nullptr ? credentials : "");
  context.on_late_error = std::move(on_late_error);
  if (when == When::health) return health_checks(app.config, context);
  std::vector<NamedCheck> checks;
  if (when == When::preflight) {
    auto standard = standard_checks(app.config, app.places, context);
    if (!standard) return standard;
    checks = std::move(*standard);
  }
  auto configured = configured_checks(app.config, when, context);
  if (!configured) return configured;
  std::move(configured->begin(), configured->end(), std::back_inserter(checks));
  return checks;
}

Result<void> keep_only(const std::vector<std::string>& names, std::vector<NamedCheck>& checks) {
  if (names.empty()) return {};
  for (const auto& name : names)
    if (std::none_of(checks.begin(), checks.end(),
                     [&](const NamedCheck& check) { return check.asked.name == name; }))
      return fail(Outcome::usage, fmt::format("'{}'", name), "is none of the checks (--list)");
  std::erase_if(checks, [&](const NamedCheck& check) {
    return std::find(names.begin(), names.end(), check.asked.name) == names.end();
  });
  return {};
}

// --- what is told

// In the table what is not well stands out.
std::string_view mark(Verdict verdict) {
  switch (verdict) {
    case Verdict::yes:
      return "ok";
    case Verdict::warning:
      return "WARN";
    case Verdict::skipped:
      return "SKIP";
    case Verdict::no:
      break;
  }
  return "FAIL";
}

// For programs.
std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::yes:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::skipped:
      return "skipped";
    case Verdict::no:
      break;
  }
  return "failed";
}

// https://no-color.org
bool use_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == 0);
}

std::string_view colour(Verdict verdict) {
  switch (verdict) {
    case Verdict::yes:
      return "\x1b[32m";
    case Verdict::warning:
      return "\x1b[33m";
    case Verdict::skipped:
      return "\x1b[2m";
    case Verdict::no:
      break;
  }
  return "\x1b[31m";
}

std::size_t name_width(const std::vector<NamedCheck>& checks) {
  std::size_t width = 0;
  for (const auto& check : checks) width = std::max(width, check.asked.name.size());
  return width;
}

void print_table(const std::vector<Asking>& answers, std::size_t width) {
  const bool coloured = use_colour();
  for (const auto& asking : answers)
    fmt::print("{:<{}}  {}{:<4}{}  {}\n", asking.name, width, coloured ? colour(asking.answer.verdict) : "",
               mark(asking.answer.verdict), coloured ? "\x1b[0m" : "", asking.answer.sentence);
}

const char* level(const NamedCheck& check) {
  return check.asked.warning_only ? "warning" : "critical";
}

void print_json(const Json& object) {
  fmt::print("{}\n", to_text(object));
}

void print_list(const std::vector<NamedCheck>& checks, bool json) {
  if (json) {
    Json all = Json::array();
    for (const auto& check : checks)
      all.push_back(
          {{"name", check.asked.name}, {"level", level(check)}, {"description", check.description}});
    print_json({{"checks", std::move(all)}});
    return;
  }
  for (const auto& check : checks)
    fmt::print("{:<{}}  {:<8}  {}\n", check.asked.name, name_width(checks), level(check), check.description);
}

Json to_json(const Asking& asking, const NamedCheck& check) {
  Json figures = Json::object();
  for (const auto& figure : asking.answer.figures) figures[figure.name] = figure.value;
  return {{"name", asking.name},
          {"verdict", word(asking.answer.verdict)},
          {"level", level(check)},
          {"reason", asking.answer.reason},
          {"message", asking.answer.sentence},
          {"took", std::chrono::duration<double>(asking.took).count()},
          {"figures", std::move(figures)}};
}

std::vector<const Asking*> with_verdict(const std::vector<Asking>& answers, Verdict verdict) {
  std::vector<const Asking*> found;
  for (const auto& asking : answers)
    if (asking.answer.verdict == verdict) found.push_back(&asking);
  return found;
}

// One line that says why, with every check that failed.
std::string refusal(const std::vector<const Asking*>& failed) {
  std::string text;
  for (const Asking* asking : failed)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", asking->name, asking->answer.sentence);
  return text;
}

// stdout is for the table; in the journal, where both would end up, what is not well is enough.
void tell(const std::vector<Asking>& answers, const std::vector<NamedCheck>& checks, const CommandLine& line,
          Reporter& report) {
  const auto failed = with_verdict(answers, Verdict::no);
  if (line.has("json")) {
    Json all = Json::array();
    for (std::size_t i = 0; i < answers.size(); ++i) all.push_back(to_json(answers[i], checks[i]));
    print_json({{"ok", failed.empty()}, {"checks", std::move(all)}});
  } else if (!report.in_journal() && !line.has("quiet")) {
    print_table(answers, name_width(checks));
  }
  if (report.in_journal()) {
    for (const Asking* warned : with_verdict(answers, Verdict::warning))
      report.say(Priority::warning, fmt::format("{}: {}", warned->name, warned->answer.sentence), {},
                 {{"SAFE_DEPLOY_CHECK", warned->name}});
    if (failed.empty())
      report.say(Priority::info, fmt::format("{} checks were asked, none failed", answers.size()));
  }
  // On a terminal the table says it.
  if (!failed.empty() &&
      (report.in_journal() || !report.on_terminal() || line.has("quiet") || line.has("json")))
    report.say(Priority::error, refusal(failed), message_refused,
               {{"SAFE_DEPLOY_CHECK", failed.front()->name}});
}

Result<int> run(const CommandLine& line, Reporter& report) {
  if (!line.arguments.empty()) return fail(Outcome::usage, line.arguments[0], "takes no argument");
  if (!line.has("app")) return fail(Outcome::usage, "", "--app is needed");
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
  auto checks = make_checks(*app, *when, LateError::teller(late_error));
  if (!checks) return forward_error(checks);
  if (auto kept = keep_only(line.values("only"), *checks); !kept) return forward_error(kept);
  if (line.has("list")) {
    print_list(*checks, line.has("json"));
    return 0;
  }
  std::vector<Asked> asked;
  for (const auto& check : *checks) asked.push_back(check.asked);
  const auto answers = ask_once(std::move(asked), Deadline::never());
  if (auto error = late_error->get()) return tl::unexpected<Error>(std::move(*error));
  tell(answers, *checks, line, report);
  return with_verdict(answers, Verdict::no).empty() ? 0 : static_cast<int>(Outcome::no);
}

} // namespace

int main(int argc, char** argv) {
  const int code = run_tool(argc, argv, tool, run);
  // A check that was given up may still be at it on its thread: nothing is torn down under it.
  (void)std::fflush(stdout);
  std::_Exit(code);
}
