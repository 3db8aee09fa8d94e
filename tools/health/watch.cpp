#include "health/watch.hpp"

#include "health/notice.hpp"
#include "journal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdlib>

namespace safe_deploy::health {

namespace {

// The state of the service that this process is a part of, if it is one of the system's.
std::optional<UnitState> own_service(const Deadline& deadline) {
  if (std::getenv("INVOCATION_ID") == nullptr) return std::nullopt;
  const CgroupUnit own = unit_of_process(getpid());
  if (!own.unit.ends_with(".service") || !own.user_unit.empty()) return std::nullopt;
  auto bus = Bus::open_system(deadline);
  if (!bus) return std::nullopt;
  auto state = bus->unit(own.unit);
  if (!state) return std::nullopt;
  return std::move(*state);
}

// Whether a unit that does not run has been started, and has ended, since the service began that this process
// is a part of: a deploy, which has just started it, need not wait for somebody who starts it.
bool has_come_and_gone(const UnitState& unit, const Deadline& deadline) {
  if (unit.active_state != "inactive" || unit.has_job) return false;
  const auto own = own_service(deadline);
  return own && own->name != unit.name && own->active_state == "activating" &&
         own->inactive_exit < unit.inactive_exit;
}

// The main process was gone before it could be watched. An ordinary end of a oneshot service is no such case.
//
// With Type=exec, a process that exits with 0 before systemd has seen its execve(2) takes the unit from
// "start" to "dead" at once: ExecStartPost= is not run, and who waits for the start is told that it went well
// (seen on 252).
std::optional<std::string> ended_before(const UnitState& unit, const Deadline& deadline) {
  if (unit.main_pid != 0 || unit.type == "oneshot" || unit.type == "forking") return std::nullopt;
  const std::string how = unit.how_main_ended();
  if (how.empty()) return std::nullopt;
  const bool starting = unit.active_state == "activating" && unit.sub_state == "start-post";
  if (!starting && !has_come_and_gone(unit, deadline)) return std::nullopt;
  return fmt::format("the main process of {} {}", unit.name, how);
}

// systemd gives each command of a start the whole of TimeoutStartSec= (seen on 252 and 257).
StartLimit start_limit_of(const UnitState& unit) {
  const auto is_this = [](pid_t pid) { return pid != 0 && (pid == getpid() || pid == getppid()); };
  const bool starts_us =
      unit.active_state == "activating" && (is_this(unit.control_pid) || is_this(unit.main_pid));
  if (!starts_us) return {};
  // sd_notify(3) promises it for Type=notify; "notify-reload" came with 253.
  return {unit.timeout_start, Notice::is_wanted() && unit.type.starts_with("notify")};
}

// Of the service that this process is a part of, if it is one.
StartLimit own_start_limit(const Watched& watched, const Deadline& deadline) {
  if (std::getenv("INVOCATION_ID") == nullptr) return {};
  const UnitState* known = watched.unit ? watched.unit->state() : nullptr;
  if (known != nullptr && known->name == unit_of_process(getpid()).unit) return start_limit_of(*known);
  const auto own = own_service(deadline);
  return own ? start_limit_of(*own) : StartLimit();
}

// A no that is known before anything is asked.
tl::unexpected<Error> known(const std::string& why, const UnitState* unit, pid_t pid) {
  return fail(Outcome::no, "", with_last_words(why, unit, pid));
}

Result<void> watch_unit(const Request& request, Watched& watched, Reporter& report) {
  auto opened = UnitWatch::open(request.unit, request.deadline);
  if (!opened) {
    report.say(Priority::warning, fmt::format("{} is not watched: {}", request.unit, opened.error().text()));
    return {};
  }
  watched.unit.emplace(std::move(*opened));
  if (auto why = watched.unit->look()) return known(*why, watched.unit->state(), 0);
  const UnitState* state = watched.unit->state();
  if (state == nullptr) return {};
  if (auto why = ended_before(*state, request.deadline)) return known(*why, state, 0);
  return {};
}

Result<void> watch_process(const Request& request, Watched& watched) {
  const UnitState* state = watched.unit ? watched.unit->state() : nullptr;
  const pid_t pid = request.pid.value_or(state != nullptr ? state->main_pid : 0);
  if (pid == 0) return {};
  auto process = Process::open(pid);
  if (process) {
    watched.process.emplace(std::move(*process));
    return {};
  }
  const std::string how = request.unit.empty() ? "" : how_unit_ended(request.unit);
  if (process.error().outcome() != Outcome::no || how.empty()) return forward_error(process);
  return known(fmt::format("the main process of {} (pid {}) {}", request.unit, pid, how), state, pid);
}

// Both in one descriptor, for the wait takes one.
Result<void> join_events(Watched& watched, const LateError& late_error) {
  watched.events.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!watched.events) return fail_errno("epoll", "cannot create");
  for (const int fd : {late_error.fd(), watched.unit ? watched.unit->fd() : -1,
                       watched.probation ? watched.probation->fd() : -1}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (fd >= 0 && epoll_ctl(watched.events.get(), EPOLL_CTL_ADD, fd, &event) < 0)
      return fail_errno("epoll", "cannot watch");
  }
  return {};
}

} // namespace

Result<Watched> watch(const Request& request, Reporter& report) {
  Watched watched;
  if (!request.unit.empty())
    if (auto done = watch_unit(request, watched, report); !done) return forward_error(done);
  if (auto done = watch_process(request, watched); !done) return forward_error(done);
  if (request.is_probation) watched.probation = Probation::open(*request.app);
  watched.start_limit = own_start_limit(watched, request.deadline);
  if (auto joined = join_events(watched, *request.late_error); !joined) return forward_error(joined);
  return watched;
}

// The journal is a little behind the death of a process. systemd tells it of any end but one with 0, so that
// who waits for that knows when all is there.
constexpr Duration journal_patience = std::chrono::milliseconds(200);
constexpr Duration journal_patience_untold = std::chrono::milliseconds(10);
constexpr std::size_t last_lines = 3;

std::string with_last_words(std::string why, const UnitState* unit, pid_t pid) {
  const char* own = std::getenv("MAINPID") != nullptr ? std::getenv("INVOCATION_ID") : nullptr;
  const std::string invocation = unit != nullptr ? unit->invocation_id : own != nullptr ? own : "";
  if (invocation.empty()) return why;
  const bool told = why.find("exited with status 0") == std::string::npos;
  const auto messages = last_messages({.invocation = invocation, .pid = pid}, last_lines,
                                      Deadline::after(told ? journal_patience : journal_patience_untold));
  if (!messages || messages->empty()) return why;
  return fmt::format("{}; it last logged: '{}'", why, fmt::join(*messages, "', '"));
}

std::string how_unit_ended(const std::string& unit) {
  auto bus = Bus::open_system();
  const auto state = bus ? bus->unit(unit) : Result<UnitState>(UnitState());
  return state ? state->how_main_ended() : "";
}

} // namespace safe_deploy::health
