#include "app.hpp"
#include "checks/drain_check.hpp"
#include "checks/port_check.hpp"
#include "http_options.hpp"
#include "json.hpp"
#include "late_error.hpp"
#include "options.hpp"
#include "policy.hpp"
#include "quantity.hpp"
#include "wait_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace safe_deploy;

namespace {

constexpr Option own_options[] = {
    {0, "max", "N", "so many connections may stay (default 0)"},
    {0, "peer-exclude", "CIDR", "do not count these peers (10.0.0.0/8); repeatable"},
    {'t', "timeout", "TIME", "how long to wait (default 5m; 0: for ever)"},
    {0, "http", "URL", "the app must say so, too: see the options below"},
    {'i', "interval", "TIME", "longest pause between two requests (default 1s)"},
    {'v', "verbose", "", "say what could not be looked at"},
    json_option,
    quiet_option,
    {0, "app", "NAME", "the port that the configuration of app NAME says"},
    config_dir_option,
};

constexpr auto options = [] {
  std::array<Option, std::size(own_options) + std::size(http_options)> all{};
  std::copy(std::begin(own_options), std::end(own_options), all.begin());
  std::copy(std::begin(http_options), std::end(http_options), all.begin() + std::size(own_options));
  return all;
}();

constexpr ToolDescription tool{
    .name = "drain-wait",
    .usage = "[OPTIONS] TARGET... [-- COMMAND...]\n       drain-wait [OPTIONS] --app NAME [-- COMMAND...]",
    .summary = "Wait until the connections of a port of this machine have ended.",
    .options = options,
    .epilogue =
        "TARGET: PORT, ADDRESS:PORT or [V6]:PORT, of TCP.\n"
        "Exit status: 0 drained, 2 usage, 71 system error, 78 wrong configuration,\n"
        "124 timed out; with COMMAND and once drained, that of COMMAND.\n",
    .takes_command = true};

struct Request {
  DrainQuestion question;
  std::shared_ptr<HttpCheck> http;
  Duration timeout = std::chrono::minutes(5);
  Duration interval = std::chrono::seconds(1);
};

Result<void> check_options(const CommandLine& line) {
  if (auto checked = check_wait_arguments(line); !checked) return checked;
  if (!line.has("app") && line.arguments.empty())
    return fail(Outcome::usage, "", "TARGET or --app is needed");
  if (line.has("http")) return {};
  if (line.has("interval")) return fail(Outcome::usage, "--interval", "goes with --http only");
  for (const Option& option : http_options)
    if (line.has(option.long_name))
      return fail(Outcome::usage, fmt::format("--{}", option.long_name), "goes with --http only");
  return {};
}

Result<void> read_targets(const CommandLine& line, Request& request, Reporter& report) {
  std::vector<std::string> texts = line.arguments;
  std::string file;
  if (line.has("app")) {
    auto app = load_app(line, line.value("app"), report);
    if (!app) return forward_error(app);
    if (app->config.listen.empty())
      return fail(Outcome::bad_config, app->config.file,
                  "[port] listen is not set: there is no port to drain");
    texts.push_back(app->config.listen);
    file = app->config.file;
  }
  for (const auto& text : texts) {
    auto target = parse_target(text);
    auto drainable = target ? check_drainable(*target) : Result<void>(forward_error(target));
    if (!drainable && !file.empty())
      return fail(Outcome::bad_config, file, "[port] listen: " + drainable.error().text());
    if (!drainable) return drainable;
    request.question.targets.push_back(std::move(*target));
  }
  return {};
}

Result<void> read_http(const CommandLine& line, Request& request,
                       const std::shared_ptr<LateError>& late_error) {
  if (!line.has("http")) return {};
  auto expectations = read_http_expectations(line, LateError::teller(late_error));
  if (!expectations) return forward_error(expectations);
  auto http = read_http_request(line, line.value("http"));
  if (!http) return forward_error(http);
  auto check = HttpCheck::create(std::move(*http), std::move(*expectations));
  if (!check) return forward_error(check);
  request.http = std::move(*check);
  return {};
}

Result<Request> read_request(const CommandLine& line, Reporter& report,
                             const std::shared_ptr<LateError>& late_error) {
  if (auto checked = check_options(line); !checked) return forward_error(checked);
  Request request;
  if (auto read = read_wait_durations(line, request.timeout, request.interval); !read)
    return forward_error(read);
  if (line.has("max")) {
    auto most = of_option("max", parse_count(line.value("max"), 0, 1'000'000'000));
    if (!most) return forward_error(most);
    request.question.most = *most;
  }
  for (const auto& text : line.values("peer-exclude")) {
    auto network = of_option("peer-exclude", parse_network(text));
    if (!network) return forward_error(network);
    request.question.excluded.push_back(*network);
  }
  if (auto read = read_targets(line, request, report); !read) return forward_error(read);
  if (auto read = read_http(line, request, late_error); !read) return forward_error(read);
  return request;
}

// What the filters of --expect-json speak of: the figures whose name is a path in the answer.
std::vector<Figure> figures_of_app(const Answer& answer) {
  std::vector<Figure> found;
  for (const auto& figure : answer.figures)
    if (figure.name.starts_with('.')) found.push_back(figure);
  return found;
}

// "connections 3, requests 2, streams 1": the live line.
class Progress {
 public:
  explicit Progress(Reporter& report) : report_(report) {}

  void on_answer(const Asking& last, Duration elapsed) {
    std::string& part = last.answer.figures.empty() || last.answer.figures.front().name != "connections"
                            ? app_
                            : connections_;
    part = &part == &connections_
               ? fmt::format("connections {}", format_number(last.answer.figures.front().value))
               : in_words(last.answer);
    show(elapsed);
  }

  // Elsewhere than on a terminal: a line when something has changed, and once a second at most.
  void on_tick(Duration elapsed) {
    show(elapsed);
    if (!report_.on_terminal() && text() != told_) report_.say(Priority::info, told_ = text());
  }

 private:
  static std::string in_words(const Answer& answer) {
    std::string text;
    for (const auto& figure : figures_of_app(answer))
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ",
                          printable(figure.name.substr(figure.name.rfind('.') + 1), 40),
                          format_number(figure.value));
    return text.empty() && !answer.good() ? answer.sentence : text;
  }

  [[nodiscard]] std::string text() const {
    return connections_.empty() || app_.empty() ? connections_ + app_
                                                : fmt::format("{}, {}", connections_, app_);
  }

  void show(Duration elapsed) {
    report_.live(
        fmt::format("[{}] {}", format_duration(std::chrono::floor<std::chrono::seconds>(elapsed)), text()));
  }

  Reporter& report_;
  std::string connections_;
  std::string app_;
  std::string told_;
};

// An IPv4 connection to an IPv6 listener as what it is on the wire.
std::string ends_text(const Endpoint& end) {
  return Endpoint{end.address.unmapped(), end.port}.text();
}

// The longest seen of those that are left, for the one line that says what is in the way.
std::string left_over(const DrainCheck& drain) {
  constexpr std::size_t most = 3;
  const auto now = Clock::now();
  std::string text;
  std::size_t count = 0;
  for (const auto& connection : drain.connections())
    if (++count <= most)
      text += fmt::format("{}{} ({}, for {} at least)", text.empty() ? ": " : ", ",
                          ends_text(connection.socket.peer), state_name(connection.socket.state),
                          format_duration(std::chrono::duration_cast<Duration>(now - connection.seen)));
  if (count > most) text += fmt::format(" and {} more", count - most);
  return text;
}

struct Conclusion {
  int code;
  const char* word; // for --json
  std::string text;
};

Conclusion conclude(const Waited& waited, const DrainCheck& drain) {
  std::string left;
  for (const auto& asking : waited.answers) {
    if (asking.answer.good()) continue;
    left += (left.empty() ? "" : "; ") + asking.answer.sentence;
    if (asking.answer.reason == "connections") left += left_over(drain);
  }
  using End = Waited::End;
  if (waited.end == End::yes)
    return {0, "drained",
            fmt::format("{}; drained after {}", waited.answers[0].answer.sentence,
                        format_duration(waited.elapsed))};
  if (waited.end == End::timed_out)
    return {static_cast<int>(Outcome::timed_out), "timeout",
            fmt::format("{}; waited {}", left, format_duration(waited.elapsed))};
  if (waited.end == End::signalled)
    return {128 + waited.signal, "signal",
            fmt::format("stopped by SIG{}; {}", sigabbrev_np(waited.signal), left)};
  return {static_cast<int>(Outcome::no), "no", left};
}

void print_json(const Waited& waited, const Conclusion& conclusion, const DrainCheck& drain) {
  constexpr std::size_t most_peers = 100;
  const auto now = Clock::now();
  Json object{{"outcome", conclusion.word},
              {"message", conclusion.text},
              {"elapsed", std::chrono::duration<double>(waited.elapsed).count()}};
  for (const auto& figure : waited.answers[0].answer.figures)
    object[figure.name] = static_cast<std::uint64_t>(figure.value);
  Json& app = object["app"] = Json::object();
  if (waited.answers.size() > 1)
    for (const auto& figure : figures_of_app(waited.answers[1].answer)) app[figure.name] = figure.value;
  Json& peers = object["peers"] = Json::array();
  for (const auto& connection : drain.connections()) {
    if (peers.size() == most_peers) break;
    peers.push_back({{"peer", ends_text(connection.socket.peer)},
                     {"local", ends_text(connection.socket.local)},
                     {"state", state_name(connection.socket.state)},
                     {"seen", std::chrono::duration<double>(now - connection.seen).count()}});
  }
  fmt::print("{}\n", to_text(object));
}

Result<int> run(const CommandLine& line, Reporter& report) {
  const auto late_error = std::make_shared<LateError>();
  auto request = read_request(line, report, late_error);
  if (!request) return forward_error(request);
  const auto drain = std::make_shared<DrainCheck>(request->question, std::make_shared<Sockets>());

  UntilYes wait;
  wait.checks.push_back({.name = "connections", .check = drain});
  if (request->http)
    wait.checks.push_back({.name = "app",
                           .check = request->http,
                           .interval = request->interval,
                           .gate = request->http->gate()});
  wait.deadline = Deadline::after(request->timeout);
  wait.longest_pause = request->interval;
  wait.first_pause = std::min<Duration>(wait.first_pause, request->interval);
  wait.instant_pause = std::chrono::milliseconds(100); // events come first
  wait.extra_fd = late_error->fd();
  wait.on_extra = [&late_error]() -> std::optional<std::string> {
    const auto error = late_error->get();
    return error ? std::optional(error->text()) : std::nullopt;
  };
  Progress progress(report);
  wait.on_answer = [&progress](const Asking& last, Duration elapsed) { progress.on_answer(last, elapsed); };
  wait.on_tick = [&progress](Duration elapsed) { progress.on_tick(elapsed); };
  wait.tick = std::chrono::seconds(1);
  auto waited = wait_until_yes(std::move(wait));
  if (!waited) return forward_error(waited);
  if (auto error = late_error->get()) return tl::unexpected<Error>(std::move(*error));
  report.wipe_live();
  if (line.has("verbose") && !drain->limitation().empty()) report.say(Priority::info, drain->limitation());
  const Conclusion conclusion = conclude(*waited, *drain);
  if (line.has("json")) print_json(*waited, conclusion, *drain);
  if (conclusion.code != 0) {
    report.say(Priority::error, conclusion.text);
    return conclusion.code;
  }
  if (!line.command.empty()) {
    report.say(Priority::info, conclusion.text);
    return become(line.command, report);
  }
  if (!line.has("json") && !line.has("quiet")) fmt::print("{}\n", conclusion.text);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const int code = run_tool(argc, argv, tool, run);
  // A request that was given up may still be at it on its thread: nothing is torn down under it.
  (void)std::fflush(stdout);
  std::_Exit(code);
}
