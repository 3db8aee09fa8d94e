#pragma once

#include "check.hpp"
#include "error.hpp"

#include <sys/types.h>

#include <functional>
#include <memory>
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
  // How often a no is asked for, in all, before it is believed: by ask_once, and while it is to hold.
  unsigned attempts = 1;
  Duration interval = std::chrono::seconds(1); // before it is asked again then
  bool warning_only = false;                   // level = warning: a no becomes a warning
  bool required = false; // one that cannot be made is a no; else it is no yes, and no objection
  // An instant check that must say yes before `check` is asked at all, such as "something listens there". Its
  // no stands for the answer meanwhile, and does not count.
  std::shared_ptr<Check> gate = {};
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

struct UntilYes {
  std::vector<Asked> checks;
  Clock::time_point started = Clock::now(); // what `elapsed` is counted from
  bool any = false;                         // one yes is enough; otherwise all must say yes
  // For reaching the yes. A hold that follows takes its own time.
  Deadline deadline = Deadline::never();
  Duration first_pause = std::chrono::milliseconds(20); // between two asks, growing to:
  Duration longest_pause = std::chrono::seconds(1);
  // An instant check and a gate have a pace of their own, for there is no event for "somebody listens now".
  Duration instant_pause = std::chrono::milliseconds(4);
  unsigned attempts = 0; // give up after so many answers of one check that said no and count; 0: never
  unsigned rise = 1;     // so many yeses in a row
  Duration hold = Duration::zero(); // once there, every check must go on saying yes for so long
  bool is_there = false;            // the hold begins at once; the deadline means nothing then
  pid_t pid = 0;                    // a process whose end makes all waiting pointless; 0 for none
  // Another descriptor to wait for, with what it means: a sentence ends the wait. It is asked for once when
  // the waiting begins. -1 for none.
  int extra_fd = -1;
  std::function<std::optional<std::string>()> on_extra = {};
  // Called when a check's answer differs from its last one, and each `tick` (zero: never).
  std::function<void(const Asking& last, Duration elapsed)> on_answer = {};
  std::function<void(Duration elapsed)> on_tick = {};
  Duration tick = Duration::zero();
};

struct Waited {
  enum class End {
    yes,
    gave_up,       // attempts used up, or a final no
    fell,          // a no during the hold that was believed
    process_ended, // `pid`
    told,          // on_extra gave a sentence
    timed_out,
    signalled, // SIGTERM or SIGINT
  };
  End end = End::timed_out;
  int signal = 0;
  std::string told = {};
  std::size_t decisive = 0;    // which check's answer brought the end, where one did
  std::vector<Asking> answers; // the last answer of each check, in order
  unsigned attempts = 0;       // the most that any check used up
  Duration elapsed{};
};

// Asks until all (or any) of the checks say yes. One that is skipped is not waited for. Instant checks are
// asked on the caller's thread before anything else is set up, so that a wait that is over already costs next
// to nothing. SIGTERM and SIGINT end the wait. Errors: only what the operating system refuses (no
// descriptors, no memory).
Result<Waited> wait_until_yes(UntilYes wait);

} // namespace safe_deploy
