#include "health/conclusion.hpp"
#include "health/notice.hpp"
#include "health/request.hpp"
#include "health/watch.hpp"
#include "http_options.hpp"
#include "keep_answers.hpp"
#include "message_ids.hpp"
#include "options.hpp"
#include "policy.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

using namespace safe_deploy;
using namespace safe_deploy::health;

namespace {

constexpr Option own_options[] = {
    {0, "attempts", "N", "give up after N answers that said no"},
    {'i', "interval", "TIME", "longest pause between attempts (default 1s)"},
    {0, "attempt-timeout", "TIME", "for one attempt (default 5s)"},
    {'t', "timeout", "TIME", "for everything (default 60s; 0: for ever)"},
    {0, "rise", "N", "so many yeses in a row (default 1)"},
    {0, "hold", "TIME",
     "once healthy, stay so for this long (default with\n"
     "--when watch: its duration, from the beginning)"},
    {0, "unit", "UNIT", "it must be UNIT that answers, and go on running"},
    {0, "pid", "PID",
     "give up when this process ends (default $MAINPID,\nelse the main process of UNIT; 0: none)"},
    {0, "memory-max", "SIZE", "UNIT must not have more memory"},
    {0, "no-journal-errors", "", "UNIT must not log an error in this run of it"},
    json_option,
    quiet_option,
    {0, "app", "NAME", "ask what the configuration of app NAME says"},
    {0, "when", "PHASE", "ask what is asked then: health (default), watch or\nmonitor"},
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
    .usage =
        "[OPTIONS] URL... [-- COMMAND...]\n"
        "       health-wait [OPTIONS] --app NAME [-- COMMAND...]",
    .summary = "Wait until healthy.",
    .options = options,
    .epilogue =
        "COMMAND takes its place when healthy.\n"
        "Exit status: 0 healthy, 1 no, 2 usage, 71 system error, 78 wrong configuration,\n"
        "124 timed out, 126 COMMAND cannot be executed, 127 COMMAND not found.\n",
    .takes_command = true};

// A live line on a terminal; elsewhere a line for each answer that was not the last one, or lasts. The last
// one is told with how it ended.
class Progress {
 public:
  Progress(Reporter& report, StartLimit limit, const Request& request)
      : report_(report), limit_(limit), request_(request) {
    extend();
  }

  void on_answer(const Asking& last, Duration elapsed) {
    if (request_.is_watch) note(last);
    // Nobody there yet is how every start begins: that is told only when it lasts.
    if (last_.counts) tell();
    last_ = last.answer;
    told_ = last_.good();
    show(elapsed);
  }

  void on_tick(Duration elapsed) {
    extend();
    tell();
    show(elapsed);
    if (std::exchange(noted_, false)) keep_last_answers(*request_.app, request_.when, answers_);
  }

 private:
  // A watch takes long: how it stands is kept meanwhile.
  void note(const Asking& last) {
    const auto known = std::find_if(answers_.begin(), answers_.end(),
                                    [&](const Asking& asking) { return asking.name == last.name; });
    if (known == answers_.end())
      answers_.push_back(last);
    else
      *known = last;
    noted_ = true;
  }

  void tell() {
    if (!std::exchange(told_, true) && !report_.on_terminal()) report_.say(Priority::info, last_.sentence);
  }

  // Much more than the time between two ticks, for a machine that is busy.
  void extend() const {
    if (limit_.extendable) Notice::extend(std::chrono::seconds(15));
  }

  void show(Duration elapsed) {
    Notice::status(last_.sentence);
    report_.live(fmt::format("[{}] {}", format_duration(std::chrono::floor<std::chrono::seconds>(elapsed)),
                             last_.sentence));
  }

  Reporter& report_;
  StartLimit limit_;
  const Request& request_;
  std::vector<Asking> answers_ = {};
  bool noted_ = false;
  Answer last_ = {};
  bool told_ = true;
};

// systemd's time is up a moment after this, so that the reason can still be told and recorded.
constexpr auto before_systemd = std::chrono::milliseconds(300);

UntilYes make_wait(const Request& request, Watched& watched, Progress& progress) {
  UntilYes wait;
  wait.checks = request.checks;
  wait.started = request.started;
  wait.deadline = request.deadline;
  if (const auto [limit, extendable] = watched.start_limit; limit != without_limit && !extendable)
    wait.deadline =
        wait.deadline.earlier(Deadline::after(std::max<Duration>(limit - before_systemd, limit / 2)));
  wait.longest_pause = request.interval;
  wait.first_pause = std::min<Duration>(wait.first_pause, request.interval);
  wait.attempts = request.attempts;
  wait.rise = request.rise;
  wait.hold = request.hold;
  wait.is_there = request.is_watch;
  wait.pid = watched.process ? watched.process->pid() : 0;
  wait.extra_fd = watched.events.get();
  wait.on_extra = [&watched, late = request.late_error]() -> std::optional<std::string> {
    if (const auto error = late->get()) return error->text();
    if (watched.probation)
      if (auto over = watched.probation->look()) return over;
    return watched.unit ? watched.unit->look() : std::nullopt;
  };
  wait.on_answer = [&progress](const Asking& last, Duration elapsed) { progress.on_answer(last, elapsed); };
  wait.on_tick = [&progress](Duration elapsed) { progress.on_tick(elapsed); };
  wait.tick = std::chrono::seconds(1);
  return wait;
}

// While a candidate is live the record keeps why it failed: a rollback that follows tells it.
void note_failure(const Request& request, const std::string& reason, Reporter& report) {
  const auto noted = [&]() -> Result<void> {
    const App& app = *request.app;
    auto state = Ledger::read(app.places.state_dir, app.config.app);
    if (!state || !state->has_candidate()) return {};
    // The deadline has passed: there is no time to wait for anybody.
    auto change = Ledger::Change::begin(app.places.state_dir, app.config.app, std::chrono::milliseconds(100));
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
  if (request.app) keep_last_answers(*request.app, request.when, waited.answers);
  Notice::status(conclusion.text);
  if (line.has("json")) fmt::print("{}\n", to_text(to_json(waited, conclusion)));
  if (conclusion.code == 0) {
    // With a command, standard output is the command's alone.
    if (!line.command.empty())
      report.say(Priority::info, conclusion.text, {}, {{"SAFE_DEPLOY_ANSWER", "yes"}});
    else if (!line.has("json") && !line.has("quiet"))
      fmt::print("{}\n", conclusion.text);
    return line.command.empty() ? 0 : become(line.command, report);
  }
  const bool unhealthy = conclusion.code == static_cast<int>(Outcome::no) ||
                         conclusion.code == static_cast<int>(Outcome::timed_out);
  if (!conclusion.check.empty()) report.set_field("SAFE_DEPLOY_CHECK", conclusion.check);
  report.say(Priority::error, conclusion.text,
             !unhealthy         ? MessageId()
             : request.is_watch ? message_watch_failed
                                : message_unhealthy);
  // What leads back from the candidate already has its own reason.
  const bool is_over = conclusion.outcome == "probation-over";
  if (unhealthy && request.app && !is_over) note_failure(request, conclusion.text, report);
  return conclusion.code;
}

Result<int> run(const CommandLine& line, Reporter& report) {
  auto request = read_request(line, report);
  if (!request) return forward_error(request);
  auto watched = watch(*request, report);
  if (!watched && watched.error().outcome() == Outcome::no)
    return finish({}, not_begun(watched.error().text()), *request, line, report);
  if (!watched) return forward_error(watched);
  Progress progress(report, watched->start_limit, *request);
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
