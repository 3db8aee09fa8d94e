#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "journal.hpp"
#include "regex.hpp"
#include "units.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace safe_deploy {

struct JournalQuestion {
  std::string unit;
  // For so long; nothing: since the unit's current (or last) invocation began.
  std::optional<Duration> since = {};
  int priority = 3; // err, of syslog(3): of this one and all that are worse
  std::vector<Regex> ignore = {};
};

// Whether a unit logged nothing of a priority or worse. What systemd says about the unit does not count, nor
// do our own tools that run in it. Reasons: "logged", "not-loaded", "timeout"; skipped: "systemd", "journal"
// (it may not be read, or there is none), "inactive" (the unit has not run yet).
//
// It keeps the journal open: asked again about the same invocation it reads on where it was.
class JournalCheck final : public Check {
 public:
  JournalCheck(JournalQuestion question, std::shared_ptr<Units> units)
      : question_(std::move(question)), units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

  // What was found that matters; counted up to a limit.
  struct Logged {
    static constexpr unsigned most = 1000;
    unsigned count = 0;
    std::string first;
    std::string last;
  };
  static Answer judge(const JournalQuestion& question, const Logged& logged);
  // Errors: timed_out. A message that takes too much memory to match is not ignored.
  static Result<bool> is_ignored(const JournalQuestion& question, const std::string& message,
                                 const Deadline& deadline);

 private:
  Result<void> look_from_the_start(const UnitState& unit);
  Result<void> read_on(const Deadline& deadline);

  JournalQuestion question_;
  std::shared_ptr<Units> units_;
  std::optional<JournalReader> reader_;
  std::string of_;        // the invocation or unit that the reader is for
  bool unjudged_ = false; // the reader is at an entry for which there was no time
  Logged logged_;
};

// journal = UNIT, since = DURATION, priority = NAME, ignore = REGEX...
inline constexpr KindKey journal_keys[] = {
    {"journal", judge::unit},
    {"since", judge::positive_duration},
    {.name = "priority", .judge = judge::journal_priority, .otherwise = "err"},
    {.name = "ignore", .judge = judge::regex, .repeats = true},
};
inline constexpr Explanation journal_explained{
    "A service may answer that all is well, and log at the same time that it is not.",
    "See 'journalctl -u UNIT -p err'. What is known and harmless can be left out with 'ignore ='."};
Result<std::shared_ptr<Check>> make_journal_check(const Values& values);

} // namespace safe_deploy
