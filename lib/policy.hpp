#pragma once

#include "check.hpp"
#include "error.hpp"

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

// How often a check is asked: once, until it says yes, or as long as it must go on saying yes.
namespace safe_deploy {

// A check under its policy: its name in messages, and how it is asked.
struct Asked {
  std::string name;
  std::shared_ptr<Check> check;
  Duration attempt_timeout = std::chrono::seconds(5);
  unsigned attempts = 1; // for ask_once: how often a no is asked again
  Duration interval = std::chrono::seconds(1);
  bool warning_only = false; // level = warning: a no becomes a warning
};

struct Asking {
  std::string name;
  Answer answer;
  Duration took;
};

// Asks each check once (a no up to `attempts` times), side by side. One that does not answer within its
// own time is given up with the reason "timeout". The answers come in the order of the checks.
std::vector<Asking> ask_once(std::vector<Asked> checks, const Deadline& deadline);

// The pauses between two asks: from `first`, growing by half each time up to `longest`, with up to 10 %
// jitter so that many waiters on one machine do not ask in step.
class Pace {
 public:
  Pace(Duration first, Duration longest) : next_(first), first_(first), longest_(longest) {}
  Duration next();
  void restart() { next_ = first_; }

 private:
  Duration next_;
  Duration first_;
  Duration longest_;
};

// How a process ended that was watched: "exited with status 3", "killed by SIGSEGV (core dumped)", "is gone".
struct Ended {
  pid_t pid;
  std::string how;
};

struct UntilYes {
  std::vector<Asked> checks;
  bool any = false; // one yes is enough; otherwise all must say yes
  Deadline deadline = Deadline::never();
  Duration first_pause = std::chrono::milliseconds(1);
  Duration longest_pause = std::chrono::seconds(1);
  unsigned attempts = 0;            // give up after so many answers that said no and count; 0: never
  unsigned rise = 1;                // so many yeses in a row
  Duration hold = Duration::zero(); // once there, each check must go on saying yes for so long
  // A process whose end makes all waiting pointless; 0 for none. It is watched by pidfd.
  pid_t pid = 0;
  // Called on the loop when a unit, or whatever else the caller watches through `extra_fd`, may have changed:
  // a sentence ends the wait with a no.
  int extra_fd = -1;
  std::function<std::optional<Answer>()> on_extra = {};
  // Called whenever an answer differs from the one before, and each `tick` in between (zero: never).
  std::function<void(const Asking& last, Duration elapsed)> on_answer = {};
  std::function<void(Duration elapsed)> on_tick = {};
  Duration tick = Duration::zero();
};

struct Waited {
  enum class End { yes, gave_up, process_ended, fell_during_hold, told_to_stop, timed_out, signalled };
  End end;
  int signal = 0;              // for `signalled`: SIGTERM or SIGINT
  std::vector<Asking> answers; // the last answer of each check, in order
  std::optional<Ended> ended = {};
  std::optional<Answer> told = {};
  unsigned attempts = 0;
  Duration elapsed{};
};

// Asks until all (or any) of the checks say yes. Instant checks are asked on the caller's thread before
// anything else is set up, so that a wait that is over already costs next to nothing. SIGTERM and SIGINT end
// the wait. Errors: only what the operating system refuses (no descriptors, no memory).
Result<Waited> wait_until_yes(UntilYes wait);

} // namespace safe_deploy
