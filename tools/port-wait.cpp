#include "app.hpp"
#include "beside.hpp"
#include "checks/port_check.hpp"
#include "json.hpp"
#include "message_ids.hpp"
#include "options.hpp"
#include "policy.hpp"
#include "process.hpp"
#include "quantity.hpp"
#include "unit_watch.hpp"
#include "wait_options.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "listening", "", "wait until somebody listens there (default)"},
    {0, "free", "", "wait until a server that sets SO_REUSEADDR can bind"},
    {0, "strict", "", "the same for one that does not: no TIME_WAIT is left"},
    {0, "all", "", "wait for all targets (default)"},
    {0, "any", "", "wait for one of the targets"},
    {0, "unit", "UNIT", "it must be UNIT that listens; another one ends the wait"},
    {0, "pid", "PID", "give up when this process ends (default $MAINPID; 0: no)"},
    {'t', "timeout", "TIME", "how long to wait (default 30s; 0: for ever)"},
    {'i', "interval", "TIME", "longest pause between connections (default 1s)"},
    {'4', "ipv4", "", "IPv4 only"},
    {'6', "ipv6", "", "IPv6 only"},
    {0, "connect", "", "really connect, also to this machine"},
    {'v', "verbose", "", "say how it was found out"},
    json_option,
    quiet_option,
    app_option,
    config_dir_option,
    state_dir_option,
};

constexpr ToolDescription tool{
    .name = "port-wait",
    .usage = "[OPTIONS] TARGET... [-- COMMAND...]\n       port-wait [OPTIONS] --app NAME [-- COMMAND...]",
    .summary = "Wait until a port is listened on, or free.",
    .options = options,
    .epilogue =
        "TARGET: PORT, HOST:PORT, [V6]:PORT, udp: before these, unix:PATH, unix:@NAME\n"
        "Ports of this machine are looked at, not connected to.\n"
        "Exit status: 0 yes, 1 no, 2 usage, 71 system error, 78 wrong configuration,\n"
        "124 timed out; with COMMAND and a yes, that of COMMAND.\n",
    .takes_command = true};

// What the command line and the configuration ask for.
struct Request {
  std::vector<PortQuestion> questions;
  bool any = false;
  Duration timeout = std::chrono::seconds(30);
  Duration interval = std::chrono::seconds(1);
  std::string unit; // watched while waiting
  pid_t pid = 0;
  std::string app; // whose port it is; empty: nobody's that is configured
};

Result<void> refuse_together(const CommandLine& line, const char* one, const char* other) {
  if (line.has(one) && line.has(other))
    return fail(Outcome::usage, fmt::format("--{}", one), fmt::format("does not go with --{}", other));
  return {};
}

Result<void> check_options(const CommandLine& line) {
  constexpr std::pair<const char*, const char*> excluded[] = {
      {"listening", "free"}, {"listening", "strict"}, {"all", "any"},      {"ipv4", "ipv6"},
      {"unit", "free"},      {"unit", "strict"},      {"unit", "connect"}, {"strict", "connect"},
  };
  for (const auto& [one, other] : excluded)
    if (auto refused = refuse_together(line, one, other); !refused) return refused;
  if (auto checked = check_wait_arguments(line); !checked) return checked;
  if (!line.has("app") && line.arguments.empty()) return fail(Outcome::usage, "", "TARGET is needed");
  return {};
}

// A remote target leaves less to be asked for: all that cannot be answered is refused before any waiting.
Result<void> check_target(const Target& target, const PortQuestion& question, const CommandLine& line) {
  if (auto family = check_family(target, question.family); !family) return family;
  if (target.protocol == Protocol::udp && question.connect)
    return fail(Outcome::usage, target.text, "UDP has no connections (--connect)");
  if (target.kind != Target::Kind::address || is_local(target.address)) return {};
  if (target.protocol == Protocol::udp)
    return fail(Outcome::usage, target.text, "a UDP port of another machine cannot be seen from here");
  for (const char* option : {"unit", "strict"})
    if (line.has(option))
      return fail(Outcome::usage, target.text, fmt::format("is not of this machine (--{})", option));
  return {};
}

Result<pid_t> read_pid(const CommandLine& line, bool free) {
  // Who waits for a port to become free waits for the end of whoever has it.
  const char* main_pid = free ? nullptr : std::getenv("MAINPID");
  const std::string text = line.value("pid", main_pid != nullptr && *main_pid != 0 ? main_pid : "0");
  constexpr std::uint64_t most = 1U << 22U; // PID_MAX_LIMIT, proc(5)
  auto pid = of_option("pid", parse_count(text, 0, most));
  if (!pid) return forward_error(pid);
  return static_cast<pid_t>(*pid);
}

PortQuestion common_question(const CommandLine& line) {
  PortQuestion question;
  question.family = line.has("ipv4") ? Family::v4 : line.has("ipv6") ? Family::v6 : Family::any;
  question.strict = line.has("strict");
  question.free = line.has("free") || question.strict;
  question.connect = line.has("connect");
  if (line.has("unit")) question.unit = service_name(line.value("unit"));
  return question;
}

// The app's port. While its unit starts, systemd may hold the port for it already.
Result<Request> read_app_request(const CommandLine& line, Reporter& report) {
  auto app = load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  Request request;
  PortQuestion question = common_question(line);
  request.timeout = question.free ? app->config.free_timeout : app->config.health_timeout;
  if (question.free) {
    question.spare_unit = app->config.unit;
    question.spare_sockets_only = true;
  } else if (question.unit.empty() && !question.connect) {
    question.unit = app->config.unit;
  }
  request.unit = question.unit;
  request.app = app->config.app;
  if (app->config.listen.empty()) return request; // nothing to wait for
  auto target = parse_target(app->config.listen);
  if (!target) return fail(Outcome::bad_config, app->config.file, target.error().text());
  question.target = std::move(*target);
  request.questions.push_back(std::move(question));
  return request;
}

Result<Request> read_request(const CommandLine& line, Reporter& report) {
  if (auto checked = check_options(line); !checked) return forward_error(checked);
  Request request;
  if (line.has("app")) {
    auto of_app = read_app_request(line, report);
    if (!of_app) return of_app;
    request = std::move(*of_app);
  }
  const PortQuestion common = common_question(line);
  if (auto read = read_wait_durations(line, request.timeout, request.interval); !read)
    return forward_error(read);
  auto pid = read_pid(line, common.free);
  if (!pid) return forward_error(pid);
  request.pid = *pid;
  request.any = line.has("any");
  if (!common.unit.empty()) request.unit = common.unit;
  for (const auto& argument : line.arguments) {
    auto target = parse_target(argument);
    if (!target) return forward_error(target);
    if (auto checked = check_target(*target, common, line); !checked) return forward_error(checked);
    request.questions.push_back(common);
    request.questions.back().target = std::move(*target);
  }
  return request;
}

using Checks = std::vector<std::shared_ptr<PortCheck>>;

// The first few of what was not answered as wished, for the one line that says why.
std::string unanswered(const Waited& waited) {
  constexpr std::size_t most = 3;
  std::string text;
  std::size_t count = 0;
  for (const auto& asking : waited.answers) {
    if (asking.answer.good()) continue;
    // A name server that does not answer, say: the check itself has not come to say a word.
    const bool silent = asking.answer.reason == "timeout" && asking.took == Duration::zero();
    if (++count <= most)
      text += (text.empty() ? "" : "; ") +
              (silent ? fmt::format("{}: no answer", asking.name) : asking.answer.sentence);
  }
  if (count > most) text += fmt::format("; and {} more", count - most);
  return text;
}

struct Conclusion {
  int code;
  const char* word; // for --json
  std::string text;
};

Conclusion conclude(const Waited& waited, const std::optional<Process>& process) {
  using End = Waited::End;
  switch (waited.end) {
    case End::yes:
      return {0, "yes", ""};
    case End::timed_out:
      return {static_cast<int>(Outcome::timed_out), "timeout",
              fmt::format("{}; waited {}", unanswered(waited), format_duration(waited.elapsed))};
    case End::process_ended:
      return {static_cast<int>(Outcome::no), "process-ended",
              fmt::format("process {} {}; {}", process ? process->pid() : 0,
                          process ? process->how_it_ended() : "is gone", unanswered(waited))};
    case End::told:
      return {static_cast<int>(Outcome::no), "unit-ended",
              fmt::format("{}; {}", waited.told, unanswered(waited))};
    case End::signalled:
      return {128 + waited.signal, "signal",
              fmt::format("stopped by SIG{}; {}", sigabbrev_np(waited.signal), unanswered(waited))};
    case End::gave_up:
    case End::fell:
      break;
  }
  return {static_cast<int>(Outcome::no), "no", waited.answers[waited.decisive].answer.sentence};
}

Json to_json(const PortHolder& port_holder) {
  const Holder& holder = port_holder.holder;
  Json object;
  object["state"] = port_holder.state;
  object["uid"] = holder.uid;
  if (holder.pid != 0) {
    object["pid"] = holder.pid;
    object["command"] = holder.command;
  }
  if (!holder.unit.empty()) object["unit"] = holder.unit;
  if (!holder.user_unit.empty()) object["user-unit"] = holder.user_unit;
  if (!holder.unknown.empty()) object["unknown"] = holder.unknown;
  return object;
}

void print_json(const Waited& waited, const Conclusion& conclusion, const Checks& checks) {
  Json object;
  object["outcome"] = conclusion.word;
  object["message"] = conclusion.text;
  object["elapsed"] = std::chrono::duration<double>(waited.elapsed).count();
  Json& targets = object["targets"] = Json::array();
  for (std::size_t i = 0; i < waited.answers.size(); ++i) {
    const Asking& asking = waited.answers[i];
    Json target;
    target["target"] = asking.name;
    target["ok"] = asking.answer.good();
    target["reason"] = asking.answer.reason;
    target["message"] = asking.answer.sentence;
    if (const auto holder = checks[i]->holder()) target["holder"] = to_json(*holder);
    targets.push_back(std::move(target));
  }
  fmt::print("{}\n", to_text(object));
}

// Shows how far the wait is: a live line on a terminal, elsewhere a line when an answer changes.
class Progress {
 public:
  Progress(Reporter& report, const Checks& checks) : report_(report), checks_(checks) {}

  void on_answer(const Asking& last, Duration elapsed) {
    if (last.answer.good() || last.answer.final) return; // a final one is told at the end
    last_ = last.answer.sentence;
    if (report_.on_terminal())
      show(elapsed);
    else
      report_.say(Priority::info, last_);
  }

  void show(Duration elapsed) {
    report_.live(
        fmt::format("[{}] {}", format_duration(std::chrono::floor<std::chrono::seconds>(elapsed)), last_));
  }

  // What stood in the way of looking, once each.
  void tell_limitations() {
    for (const auto& check : checks_) {
      const std::string limitation = check->limitation();
      if (!limitation.empty() && told_.insert(limitation).second) report_.say(Priority::info, limitation);
    }
  }

 private:
  Reporter& report_;
  const Checks& checks_;
  std::string last_;
  std::set<std::string> told_;
};

UntilYes make_wait(const Request& request, const Checks& checks) {
  UntilYes wait;
  for (std::size_t i = 0; i < checks.size(); ++i)
    wait.checks.push_back(
        {.name = request.questions[i].target.text, .check = checks[i], .interval = request.interval});
  wait.any = request.any;
  wait.deadline = Deadline::after(request.timeout);
  wait.longest_pause = request.interval;
  wait.first_pause = std::min<Duration>(wait.first_pause, request.interval);
  // Nothing tells that somebody began to listen; that a port was given back is told (but for unix sockets and
  // TIME_WAIT).
  const bool by_events =
      std::all_of(request.questions.begin(), request.questions.end(),
                  [](const PortQuestion& question) { return question.free && !question.target.is_unix(); });
  const Duration pause = by_events ? std::chrono::milliseconds(25) : std::chrono::microseconds(2600);
  // A thousand targets must not cost a whole core.
  wait.instant_pause = std::max<Duration>(pause, checks.size() * std::chrono::microseconds(250));
  wait.pid = request.pid;
  return wait;
}

// With a command, standard output is the command's alone.
void print_answer(const Waited& waited, const CommandLine& line, Reporter& report) {
  for (const auto& asking : waited.answers) {
    if (!asking.answer.good()) continue;
    if (!line.command.empty())
      report.say(Priority::info, asking.answer.sentence, {}, {{"SAFE_DEPLOY_ANSWER", "yes"}});
    else if (!line.has("quiet"))
      fmt::print("{}\n", asking.answer.sentence);
  }
}

// Where it is a part of a start, the rollback that follows of a candidate tells why. By the tool that keeps
// the record: in this one, which runs before each start, it would be dead weight.
void note_failing(const std::string& app, const std::string& reason, const CommandLine& line,
                  Reporter& report) {
  if (app.empty() || !report.in_journal() || geteuid() != 0) return;
  const Directories where = directories(line);
  auto noted =
      run_beside({"release-mark", "--app", app, "--state-dir", where.state, "failing", "--reason", reason});
  if (!noted)
    report.say(Priority::warning, fmt::format("the failure is not recorded: {}", noted.error().text()));
}

Result<int> finish(const Waited& waited, const Conclusion& conclusion, const Request& request,
                   const CommandLine& line, const Checks& checks, Reporter& report) {
  report.wipe_live();
  if (line.has("json")) print_json(waited, conclusion, checks);
  if (conclusion.code != 0) {
    const bool held = std::any_of(waited.answers.begin(), waited.answers.end(),
                                  [](const Asking& asking) { return asking.answer.reason == "held"; });
    report.say(Priority::error, conclusion.text, held ? message_port_held : MessageId());
    const bool is_no = conclusion.code == static_cast<int>(Outcome::no) ||
                       conclusion.code == static_cast<int>(Outcome::timed_out);
    if (is_no) note_failing(request.app, conclusion.text, line, report);
    return conclusion.code;
  }
  if (!line.has("json")) print_answer(waited, line, report);
  return line.command.empty() ? 0 : become(line.command, report);
}

Result<int> run(const CommandLine& line, Reporter& report) {
  auto request = read_request(line, report);
  if (!request) return forward_error(request);
  const auto sockets = std::make_shared<Sockets>();
  Checks checks;
  for (const auto& question : request->questions) checks.push_back(make_port_check(question, sockets));

  UntilYes wait = make_wait(*request, checks);
  // Our own hold on the process tells how it ended.
  std::optional<Process> process;
  if (request->pid != 0) {
    auto opened = Process::open(request->pid);
    if (!opened) return forward_error(opened);
    process.emplace(std::move(*opened));
  }
  std::optional<UnitWatch> watch;
  if (!request->unit.empty()) {
    auto opened = UnitWatch::open(request->unit, wait.deadline);
    if (!opened && line.has("verbose"))
      report.say(Priority::info, fmt::format("{} is not watched: {}", request->unit, opened.error().text()));
    if (opened) {
      watch.emplace(std::move(*opened));
      wait.extra_fd = watch->fd();
      wait.on_extra = [&watch] { return watch->look(); };
    }
  }
  Progress progress(report, checks);
  wait.on_answer = [&progress](const Asking& last, Duration elapsed) { progress.on_answer(last, elapsed); };
  if (report.on_terminal()) {
    wait.on_tick = [&progress](Duration elapsed) { progress.show(elapsed); };
    wait.tick = std::chrono::seconds(1);
  }
  auto waited = wait_until_yes(std::move(wait));
  if (!waited) return forward_error(waited);
  if (line.has("verbose")) progress.tell_limitations();
  return finish(*waited, conclude(*waited, process), *request, line, checks, report);
}

} // namespace

int main(int argc, char** argv) {
  return run_tool(argc, argv, tool, run);
}
