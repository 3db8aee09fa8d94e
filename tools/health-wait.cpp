#include "app.hpp"
#include "checks/context.hpp"
#include "checks/http_check.hpp"
#include "checks/standard.hpp"
#include "fd.hpp"
#include "http_options.hpp"
#include "late_error.hpp"
#include "message_ids.hpp"
#include "options.hpp"
#include "policy.hpp"
#include "process.hpp"
#include "quantity.hpp"
#include "unit_watch.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace safe_deploy;

namespace {

constexpr Option own_options[] = {
    {0, "attempts", "N", "give up after N answers that said no"},
    {'i', "interval", "TIME", "longest pause between attempts (default 1s)"},
    {0, "attempt-timeout", "TIME", "for one attempt (default 5s)"},
    {'t', "timeout", "TIME", "for everything (default 60s; 0: for ever)"},
    {0, "rise", "N", "so many yeses in a row (default 1)"},
    {0, "hold", "TIME", "once healthy, stay so for this long"},
    {0, "unit", "UNIT", "it must be UNIT that answers, and go on running"},
    {0, "pid", "PID",
     "give up when this process ends (default $MAINPID,\nelse the main process of UNIT; 0: none)"},
    json_option,
    quiet_option,
    {0, "app", "NAME", "ask what the configuration of app NAME says"},
    config_dir_option,
    state_dir_option,
};

constexpr auto options = [] {
  std::array<Option, std::size(http_options) + std::size(own_options)> all{};
  std::copy(std::begin(http_options), std::end(http_options), all.begin());
  std::copy(std::begin(own_options), std::end(own_options), all.begin() + std::size(http_options));
  return all;
}();

constexpr ToolDescription tool{
    .name = "health-wait",
    .usage = "[OPTIONS] URL...\n       health-wait [OPTIONS] --app NAME",
    .summary = "Wait until healthy.",
    .options = options,
    .epilogue =
        "Exit status: 0 healthy, 1 no, 2 usage, 71 system error, 78 wrong configuration,\n"
        "124 timed out.\n"};

struct Request {
  std::optional<App> app;
  std::vector<Asked> checks;
  std::shared_ptr<LateError> late_error = std::make_shared<LateError>();
  std::string unit;         // watched while waiting; empty: none
  std::optional<pid_t> pid; // as given or in $MAINPID; 0: none
  Duration timeout = std::chrono::seconds(60);
  Duration interval = std::chrono::seconds(1);
  Duration attempt_timeout = std::chrono::seconds(5);
  Duration hold{};
  unsigned attempts = 0;
  unsigned rise = 1;
};

// --- what is asked for

Result<void> check_arguments(const CommandLine& line) {
  if (!line.has("app")) {
    if (line.arguments.empty()) return fail(Outcome::usage, "", "URL or --app is needed");
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
  for (const auto& [option, to] : {std::pair("timeout", &request.timeout),
                                   {"interval", &request.interval},
                                   {"attempt-timeout", &request.attempt_timeout},
                                   {"hold", &request.hold}}) {
    if (!line.has(option)) continue;
    auto value = parse_duration(line.value(option));
    if (!value) return forward_error(value);
    *to = *value;
  }
  for (const auto& [option, to] : {std::pair("attempts", &request.attempts), {"rise", &request.rise}}) {
    if (!line.has(option)) continue;
    auto value = parse_count(line.value(option), 1, 1'000'000);
    if (!value) return forward_error(value);
    *to = static_cast<unsigned>(*value);
  }
  for (const auto& [option, value] :
       {std::pair("interval", request.interval), {"attempt-timeout", request.attempt_timeout}})
    if (value <= Duration::zero() || value == without_limit)
      return fail(Outcome::usage, fmt::format("--{}", option),
                  "must be longer than nothing, and have a limit");
  return {};
}

Result<void> read_pid(const CommandLine& line, Request& request) {
  const char* main_pid = std::getenv("MAINPID"); // systemd.exec(5): of ExecStartPost= and its like
  const std::string text = line.value("pid", main_pid != nullptr ? main_pid : "");
  if (text.empty()) return {};
  constexpr std::uint64_t most = 1U << 22U; // PID_MAX_LIMIT, proc(5)
  auto pid = parse_count(text, 0, most);
  if (!pid) return forward_error(pid);
  request.pid = static_cast<pid_t>(*pid);
  return {};
}

Result<void> add_urls(const CommandLine& line, Request& request) {
  auto expectations = read_http_expectations(line, LateError::teller(request.late_error));
  if (!expectations) return forward_error(expectations);
  const auto identity = request.unit.empty() ? nullptr : std::make_shared<const Identity>(request.unit);
  for (const auto& url : line.arguments) {
    auto http = read_http_request(line, url);
    if (!http) return forward_error(http);
    auto check = HttpCheck::create(std::move(*http), *expectations, identity);
    if (!check) return forward_error(check);
    request.checks.push_back(
        {.name = url, .check = *check, .attempt_timeout = request.attempt_timeout, .gate = (*check)->gate()});
  }
  return {};
}

Result<void> add_app_checks(const CommandLine& line, Request& request) {
  const Config& config = request.app->config;
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
  CheckContext context = make_context(config, credentials != nullptr ? credentials : "");
  context.on_late_error = LateError::teller(request.late_error);
  auto checks = health_checks(config, std::move(context));
  if (!checks) return forward_error(checks);
  for (auto& check : *checks) {
    if (line.has("attempt-timeout")) check.asked.attempt_timeout = request.attempt_timeout;
    request.checks.push_back(std::move(check.asked));
  }
  return {};
}

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
  }
  if (auto read = read_policy(line, request); !read) return forward_error(read);
  if (auto read = read_pid(line, request); !read) return forward_error(read);
  auto added = request.app ? add_app_checks(line, request) : add_urls(line, request);
  if (!added) return forward_error(added);
  return request;
}

// --- the unit and its process

// What the wait watches beside the answers.
struct Watched {
  std::optional<UnitWatch> unit = {};
  std::optional<Process> process = {};
  Duration start_limit = without_limit; // until systemd would kill this process
  Fd events = {};                       // readable when any of them has something to say
};

// The main process was gone before it could be watched. An ordinary end of a oneshot service is no such case.
std::optional<std::string> ended_before(const UnitState& unit) {
  const bool starting = unit.active_state == "activating" && unit.sub_state == "start-post";
  if (!starting || unit.main_pid != 0 || unit.type == "oneshot" || unit.type == "forking")
    return std::nullopt;
  const std::string how = unit.how_main_ended();
  if (how.empty()) return std::nullopt;
  return fmt::format("the main process of {} {}", unit.name, how);
}

// systemd gives each command of a start the whole of TimeoutStartSec= (seen on 252 and 257).
Duration start_limit_of(const UnitState& unit) {
  const auto is_this = [](pid_t pid) { return pid != 0 && (pid == getpid() || pid == getppid()); };
  const bool starts_us =
      unit.active_state == "activating" && (is_this(unit.control_pid) || is_this(unit.main_pid));
  return starts_us ? unit.timeout_start : without_limit;
}

// Of the service that this process is a part of, if it is one.
Duration own_start_limit(const Watched& watched) {
  if (std::getenv("INVOCATION_ID") == nullptr) return without_limit;
  const CgroupUnit own = unit_of_process(getpid());
  if (!own.unit.ends_with(".service") || !own.user_unit.empty()) return without_limit;
  const UnitState* known = watched.unit ? watched.unit->state() : nullptr;
  if (known != nullptr && known->name == own.unit) return start_limit_of(*known);
  auto bus = Bus::open_system();
  if (!bus) return without_limit;
  const auto state = bus->unit(own.unit);
  return state ? start_limit_of(*state) : without_limit;
}

// A no that is known before anything is asked is the Error, Outcome::no.
Result<Watched> watch(const Request& request, Reporter& report) {
  Watched watched;
  pid_t pid = request.pid.value_or(0);
  if (!request.unit.empty()) {
    auto opened = UnitWatch::open(request.unit);
    if (opened) {
      watched.unit.emplace(std::move(*opened));
      if (auto why = watched.unit->look()) return fail(Outcome::no, "", *why);
    } else {
      report.say(Priority::warning,
                 fmt::format("{} is not watched: {}", request.unit, opened.error().text()));
    }
    if (const UnitState* state = watched.unit ? watched.unit->state() : nullptr) {
      if (auto why = ended_before(*state)) return fail(Outcome::no, "", *why);
      if (!request.pid) pid = state->main_pid;
    }
  }
  watched.start_limit = own_start_limit(watched);
  if (pid == 0) return watched;
  auto process = Process::open(pid);
  if (!process) return forward_error(process);
  watched.process.emplace(std::move(*process));
  return watched;
}

// Both in one descriptor, for the wait takes one.
Result<void> join_events(Watched& watched, const LateError& late_error) {
  watched.events.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!watched.events) return fail_errno("epoll", "cannot create");
  for (const int fd : {late_error.fd(), watched.unit ? watched.unit->fd() : -1}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (fd >= 0 && epoll_ctl(watched.events.get(), EPOLL_CTL_ADD, fd, &event) < 0)
      return fail_errno("epoll", "cannot watch");
  }
  return {};
}

// --- the wait

class Progress {
 public:
  explicit Progress(Reporter& report) : report_(report) {}

  // Nobody there yet is how every start begins: that is told only when it lasts.
  void on_answer(const Asking& last, Duration elapsed) {
    last_ = last.answer.sentence;
    told_ = last.answer.good();
    if (last.answer.counts) tell();
    if (report_.on_terminal()) show(elapsed);
  }

  void on_tick(Duration elapsed) {
    tell();
    if (report_.on_terminal()) show(elapsed);
  }

 private:
  void tell() {
    if (told_ || last_.empty() || report_.on_terminal()) return;
    told_ = true;
    report_.say(Priority::info, last_);
  }

  void show(Duration elapsed) {
    report_.live(
        fmt::format("[{}] {}", format_duration(std::chrono::floor<std::chrono::seconds>(elapsed)), last_));
  }

  Reporter& report_;
  std::string last_;
  bool told_ = true;
};

// systemd's time is up a moment after this, so that the reason can still be told and recorded.
constexpr auto before_systemd = std::chrono::milliseconds(300);

UntilYes make_wait(const Request& request, Watched& watched, Progress& progress) {
  UntilYes wait;
  wait.checks = request.checks;
  for (Asked& asked : wait.checks) asked.interval = request.interval;
  wait.deadline = Deadline::after(request.timeout);
  if (watched.start_limit != without_limit)
    wait.deadline = wait.deadline.earlier(
        Deadline::after(std::max<Duration>(watched.start_limit - before_systemd, watched.start_limit / 2)));
  wait.longest_pause = request.interval;
  wait.first_pause = std::min<Duration>(wait.first_pause, request.interval);
  wait.attempts = request.attempts;
  wait.rise = request.rise;
  wait.hold = request.hold;
  wait.pid = watched.process ? watched.process->pid() : 0;
  wait.extra_fd = watched.events.get();
  wait.on_extra = [&watched, late = request.late_error]() -> std::optional<std::string> {
    if (const auto error = late->get()) return error->text();
    return watched.unit ? watched.unit->look() : std::nullopt;
  };
  wait.on_answer = [&progress](const Asking& last, Duration elapsed) { progress.on_answer(last, elapsed); };
  wait.on_tick = [&progress](Duration elapsed) { progress.on_tick(elapsed); };
  wait.tick = std::chrono::seconds(1);
  return wait;
}

// --- how it ended

struct Conclusion {
  int code = 0;
  std::string outcome; // for --json
  std::string reason;  // a stable word, of the answer or of the end
  std::string text;
  std::string check = {}; // whose answer decided
};

constexpr int code_of(Outcome outcome) {
  return static_cast<int>(outcome);
}

const Asking* first_no(const Waited& waited) {
  for (const auto& asking : waited.answers)
    if (!asking.answer.good()) return &asking;
  return nullptr;
}

std::string named(const Asking& asking, const Request& request) {
  return request.app ? fmt::format("{}: {}", asking.name, asking.answer.sentence) : asking.answer.sentence;
}

std::string all_noes(const Waited& waited, const Request& request) {
  std::string text;
  for (const auto& asking : waited.answers)
    if (!asking.answer.good()) text += (text.empty() ? "" : "; ") + named(asking, request);
  return text;
}

// systemd takes note of the end of its child a moment later than we do.
std::string how_process_ended(const Process& process, const Request& request) {
  std::string how = process.how_it_ended();
  if (how != "is gone" || request.unit.empty()) return how;
  auto bus = Bus::open_system();
  const auto state = bus ? bus->unit(request.unit) : Result<UnitState>(UnitState());
  const std::string told = state ? state->how_main_ended() : "";
  return told.empty() ? how : told;
}

Conclusion conclude_no(const Waited& waited, const Request& request) {
  const Asking& asking = waited.answers[waited.decisive];
  Conclusion conclusion{code_of(Outcome::no), "unhealthy", asking.answer.reason, named(asking, request),
                        asking.name};
  if (waited.end == Waited::End::fell) conclusion.text += ", after it had been healthy";
  if (waited.end == Waited::End::gave_up && waited.attempts > 1)
    conclusion.text += fmt::format("; {} attempts in {}", waited.attempts, format_duration(waited.elapsed));
  return conclusion;
}

Conclusion conclude_late(const Waited& waited, const Request& request, const Watched& watched) {
  const Asking* no = first_no(waited);
  std::string text = all_noes(waited, request);
  text += fmt::format("{}waited {}", text.empty() ? "" : "; ", format_duration(waited.elapsed));
  if (watched.start_limit != without_limit && waited.elapsed < request.timeout)
    text += fmt::format(", for TimeoutStartSec= is {}", format_duration(watched.start_limit));
  return {code_of(Outcome::timed_out), "timeout", no != nullptr ? no->answer.reason : "timeout", text,
          no != nullptr ? no->name : ""};
}

Conclusion conclude(const Waited& waited, const Request& request, const Watched& watched) {
  const auto with_last = [&](const std::string& text) {
    const std::string noes = all_noes(waited, request);
    return noes.empty() ? text : fmt::format("{}; {}", text, noes);
  };
  if (const auto error = request.late_error->get())
    return {code_of(error->outcome()), "usage", "filter", error->text()};
  switch (waited.end) {
    case Waited::End::yes:
      break;
    case Waited::End::gave_up:
    case Waited::End::fell:
      return conclude_no(waited, request);
    case Waited::End::timed_out:
      return conclude_late(waited, request, watched);
    case Waited::End::process_ended: {
      const std::string how = how_process_ended(*watched.process, request);
      return {code_of(Outcome::no), "process-ended", "process-ended",
              with_last(fmt::format("process {} {}", watched.process->pid(), how))};
    }
    case Waited::End::told:
      return {code_of(Outcome::no), "unit-ended", "unit-ended", with_last(waited.told)};
    case Waited::End::signalled:
      return {128 + waited.signal, "signal", "signal",
              with_last(fmt::format("stopped by SIG{}", sigabbrev_np(waited.signal)))};
  }
  std::string text;
  for (const auto& asking : waited.answers) text += (text.empty() ? "" : "; ") + named(asking, request);
  if (text.empty()) text = "nothing is asked";
  return {0, "healthy", "ok", fmt::format("{}; healthy after {}", text, format_duration(waited.elapsed))};
}

nlohmann::ordered_json to_json(const Asking& asking) {
  nlohmann::ordered_json figures = nlohmann::ordered_json::object();
  for (const auto& figure : asking.answer.figures) figures[figure.name] = figure.value;
  return {{"name", asking.name},
          {"ok", asking.answer.good()},
          {"reason", asking.answer.reason},
          {"message", asking.answer.sentence},
          {"took", std::chrono::duration<double>(asking.took).count()},
          {"figures", std::move(figures)}};
}

void print_json(const Waited& waited, const Conclusion& conclusion) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const auto& asking : waited.answers) checks.push_back(to_json(asking));
  const nlohmann::ordered_json object{
      {"outcome", conclusion.outcome}, {"reason", conclusion.reason},
      {"message", conclusion.text},    {"elapsed", std::chrono::duration<double>(waited.elapsed).count()},
      {"attempts", waited.attempts},   {"checks", std::move(checks)}};
  fmt::print("{}\n", object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

// While a candidate is live the record keeps why it failed: a rollback that follows tells it.
void note_failure(const Request& request, const std::string& reason, Reporter& report) {
  const auto noted = [&]() -> Result<void> {
    const App& app = *request.app;
    auto state = Ledger::read(app.places.state_dir, app.config.app);
    if (!state || !state->has_candidate()) return {};
    auto change = Ledger::Change::begin(app.places.state_dir, app.config.app);
    if (!change) return forward_error(change);
    if (!change->state().has_candidate()) return {};
    return change->commit(step::note_failure(change->state(), reason, Moment::now()));
  }();
  if (!noted)
    report.say(Priority::warning, fmt::format("the failure is not recorded: {}", noted.error().text()));
}

int finish(const Waited& waited, const Conclusion& conclusion, const Request& request,
           const CommandLine& line, Reporter& report) {
  report.wipe_live();
  if (line.has("json")) print_json(waited, conclusion);
  if (conclusion.code == 0) {
    if (!line.has("json") && !line.has("quiet")) fmt::print("{}\n", conclusion.text);
    return 0;
  }
  const bool unhealthy =
      conclusion.code == code_of(Outcome::no) || conclusion.code == code_of(Outcome::timed_out);
  if (!conclusion.check.empty()) report.set_field("SAFE_DEPLOY_CHECK", conclusion.check);
  report.say(Priority::error, conclusion.text, unhealthy ? message_unhealthy : MessageId());
  if (unhealthy && request.app) note_failure(request, conclusion.text, report);
  return conclusion.code;
}

Result<int> run(const CommandLine& line, Reporter& report) {
  auto request = read_request(line, report);
  if (!request) return forward_error(request);
  auto watched = watch(*request, report);
  if (!watched) {
    if (watched.error().outcome() != Outcome::no) return forward_error(watched);
    const Conclusion conclusion{code_of(Outcome::no), "process-ended", "process-ended",
                                watched.error().text()};
    return finish({}, conclusion, *request, line, report);
  }
  if (auto joined = join_events(*watched, *request->late_error); !joined) return forward_error(joined);
  Progress progress(report);
  auto waited = wait_until_yes(make_wait(*request, *watched, progress));
  if (!waited) return forward_error(waited);
  return finish(*waited, conclude(*waited, *request, *watched), *request, line, report);
}

} // namespace

int main(int argc, char** argv) {
  const int code = run_tool(argc, argv, tool, run);
  // A check that was given up may still be at it on its thread: nothing is torn down under it.
  (void)std::fflush(stdout);
  std::_Exit(code);
}
