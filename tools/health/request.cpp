#include "health/request.hpp"

#include "checks/context.hpp"
#include "checks/http_check.hpp"
#include "checks/journal_check.hpp"
#include "checks/standard.hpp"
#include "checks/unit_memory_check.hpp"
#include "http_options.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <tuple>

namespace safe_deploy::health {

namespace {

Result<void> check_arguments(const CommandLine& line) {
  if (!line.has("app")) {
    if (line.arguments.empty()) return fail(Outcome::usage, "", "URL or --app is needed");
    if (line.has("when")) return fail(Outcome::usage, "--when", "goes with --app, whose checks say when");
    return {};
  }
  if (!line.arguments.empty()) return fail(Outcome::usage, line.arguments[0], "no URL is needed with --app");
  if (line.has("unit")) return fail(Outcome::usage, "--unit", "does not go with --app, which has its own");
  for (const Option& option : http_options)
    if (line.has(option.long_name))
      return fail(Outcome::usage, fmt::format("--{}", option.long_name),
                  "does not go with --app: the checks are in the configuration");
  return {};
}

Result<void> read_policy(const CommandLine& line, Request& request) {
  for (const auto& [option, to, parse] :
       {std::tuple("timeout", &request.timeout, &parse_duration),
        {"interval", &request.interval, &parse_limited_duration},
        {"attempt-timeout", &request.attempt_timeout, &parse_limited_duration},
        {"hold", &request.hold, &parse_duration}}) {
    if (!line.has(option)) continue;
    auto value = of_option(option, parse(line.value(option)));
    if (!value) return forward_error(value);
    *to = *value;
  }
  for (const auto& [option, to] : {std::pair("attempts", &request.attempts), {"rise", &request.rise}}) {
    if (!line.has(option)) continue;
    auto value = of_option(option, parse_count(line.value(option), 1, 1'000'000));
    if (!value) return forward_error(value);
    *to = static_cast<unsigned>(*value);
  }
  return {};
}

Result<void> read_pid(const CommandLine& line, Request& request) {
  const char* main_pid = std::getenv("MAINPID"); // systemd.exec(5): of ExecStartPost= and its like
  const std::string text = line.value("pid", main_pid != nullptr ? main_pid : "");
  if (text.empty()) return {};
  constexpr std::uint64_t most = 1U << 22U; // PID_MAX_LIMIT, proc(5)
  auto pid = of_option("pid", parse_count(text, 0, most));
  if (!pid) return forward_error(pid);
  request.pid = static_cast<pid_t>(*pid);
  return {};
}

// An address of another machine cannot be the unit's, whatever it answers.
Result<void> check_local(const HttpRequest& http, const std::string& unit) {
  if (unit.empty() || !http.unix_socket.empty()) return {};
  const auto address = parse_address(http.url.host);
  if (address && !is_local(*address))
    return fail(Outcome::usage, http.url.shown(), "is not of this machine (--unit)");
  return {};
}

Result<void> add_urls(const CommandLine& line, Request& request) {
  std::vector<HttpRequest> asked;
  for (const auto& url : line.arguments) {
    auto http = read_http_request(line, url);
    if (!http) return forward_error(http);
    if (auto local = check_local(*http, request.unit); !local) return local;
    asked.push_back(std::move(*http));
  }
  // What it needs is the same for all of them: only the URLs differ.
  const UserPtr user = needs_no_rights(asked.front()) ? unprivileged_user() : nullptr;
  auto expectations = read_http_expectations(line, LateError::teller(request.late_error), user);
  if (!expectations) return forward_error(expectations);
  const auto identity = request.unit.empty() ? nullptr : std::make_shared<const Identity>(request.unit);
  for (auto& http : asked) {
    auto check = HttpCheck::create(std::move(http), *expectations, identity);
    if (!check) return forward_error(check);
    (*check)->ask_as(user);
    request.checks.push_back({.name = line.arguments[request.checks.size()],
                              .check = *check,
                              .attempt_timeout = request.attempt_timeout,
                              .interval = request.interval,
                              .gate = (*check)->gate()});
  }
  return {};
}

Result<void> add_app_checks(const CommandLine& line, Request& request, Reporter& report) {
  const Config& config = request.app->config;
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
  CheckContext context = make_context(config, credentials != nullptr ? credentials : "");
  context.on_late_error = LateError::teller(request.late_error);
  if (!context.release.empty()) report.set_field("SAFE_DEPLOY_RELEASE", context.release);
  auto when = parse_when(line.value("when", "health"));
  if (!when) return forward_error(when);
  request.when = line.value("when", "health");
  if (*when == When::preflight)
    return fail(Outcome::usage, "--when preflight", "is for preflight(1): nothing needs to run then");
  auto checks = running_checks(config, *when, std::move(context));
  if (!checks) return forward_error(checks);
  for (auto& check : *checks) {
    if (*when == When::health || line.has("interval")) check.asked.interval = request.interval;
    if (line.has("attempt-timeout")) check.asked.attempt_timeout = request.attempt_timeout;
    request.checks.push_back(std::move(check.asked));
  }
  return {};
}

// What is asked of the unit itself, beside its answers. Somebody wants to know: one that cannot be asked is a
// no.
Result<void> add_unit_checks(const CommandLine& line, Request& request) {
  const auto units = std::make_shared<Units>();
  const auto add = [&](std::string name, std::shared_ptr<Check> check) {
    request.checks.push_back({.name = std::move(name),
                              .check = std::move(check),
                              .attempt_timeout = request.attempt_timeout,
                              .interval = request.interval,
                              .required = true});
  };
  for (const char* option : {"memory-max", "no-journal-errors"})
    if (line.has(option) && request.unit.empty())
      return fail(Outcome::usage, fmt::format("--{}", option), "needs --unit or --app");
  if (line.has("memory-max")) {
    auto most = of_option("memory-max", parse_size(line.value("memory-max")));
    if (!most) return forward_error(most);
    if (*most == 0) return fail(Outcome::usage, "--memory-max", "must be more than nothing");
    add("unit-memory", std::make_shared<UnitMemoryCheck>(
                           request.unit, UnitMemoryLimits{.max = *most, .growth_max = {}}, units));
  }
  if (line.has("no-journal-errors"))
    add("journal", std::make_shared<JournalCheck>(JournalQuestion{.unit = request.unit}, units));
  return {};
}

} // namespace

Result<Request> read_request(const CommandLine& line, Reporter& report) {
  if (auto checked = check_arguments(line); !checked) return forward_error(checked);
  Request request;
  if (line.has("unit")) request.unit = service_name(line.value("unit"));
  if (line.has("app")) {
    auto app = load_app(line, line.value("app"), report);
    if (!app) return forward_error(app);
    request.app.emplace(std::move(*app));
    const Config& config = request.app->config;
    request.timeout = config.health_timeout;
    request.interval = config.health_interval;
    request.attempts = config.health_attempts;
    request.unit = config.unit;
    if (line.value("when") == "watch") request.hold = config.watch_duration;
  }
  if (auto read = read_policy(line, request); !read) return forward_error(read);
  request.is_watch = line.value("when") == "watch" && request.hold > Duration::zero();
  request.is_probation = request.is_watch && !line.has("hold");
  if (!request.is_watch) request.deadline = Deadline::after(request.timeout, request.started);
  if (auto read = read_pid(line, request); !read) return forward_error(read);
  auto added = request.app ? add_app_checks(line, request, report) : add_urls(line, request);
  if (!added) return forward_error(added);
  if (auto more = add_unit_checks(line, request); !more) return forward_error(more);
  return request;
}

} // namespace safe_deploy::health
