#pragma once

#include "asker.hpp"
#include "deadline.hpp"
#include "error.hpp"
#include "fd.hpp"
#include "file.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What is known of an app's releases, and how far its deploy has come. One small durable record, changed by
// named transitions only:
//
//   idle --intend--> prepared --swapped--> swapped --passed--> probation --held--> idle (release good)
//                        |                    |                    |
//                        +------ failure -----+--------------------+--> rolling_back --passed--> idle
//                        (release bad)
//                                                                            +--stuck--> stuck
namespace safe_deploy {

enum class Phase { idle, prepared, swapped, probation, rolling_back, stuck };

// "idle", "prepared", "swapped", "probation", "rolling-back", "stuck".
std::string_view phase_name(Phase phase);
std::optional<Phase> parse_phase(std::string_view name);

enum class Mark { good, bad };
std::string_view mark_name(Mark mark);

// A point in time: the wall clock is for people only; how long something took is told by the monotonic clock,
// within one boot.
struct Moment {
  std::string at;       // RFC 3339, UTC, milliseconds
  std::string boot;     // /proc/sys/kernel/random/boot_id, or what stands for it in a container
  double monotonic = 0; // CLOCK_MONOTONIC, seconds
  static Moment now();
};

// The time of Moment::at in microseconds since 1970, as the journal has it; 0 where the text is none.
std::uint64_t microseconds_of(const std::string& at);

struct ReleaseRecord {
  Mark verdict;
  std::string at; // wall clock, RFC 3339, for people only
  std::string reason;
};

// How the last deploy ended, or has come so far.
struct LastDeploy {
  std::uint64_t number = 0; // counts the swaps that were intended; 0: none yet
  std::string release;
  std::string from;
  std::string started;
  std::string ended;
  std::string
      outcome; // empty while it is under way; "good", "rolled-back", "stuck", "abandoned", "interrupted"
  std::string reason;
};

struct State {
  Phase phase = Phase::idle;
  std::string current;   // as last recorded; the link itself is the truth
  std::string candidate; // the release on trial, or the one that is being left
  std::string from;      // what `current` was before the candidate
  std::string from_link; // the text of the link then, which may have led to no release; empty: there was none
  std::string target;    // rolling_back: where to
  std::string failure;   // why the candidate failed, as far as it is known
  std::string
      condemned;     // why somebody called what is on trial, or rolled back to, bad: it cannot pass any more
  std::string stuck; // why a person is needed, or will be if the rollback fails
  std::string lost;  // why the record had to be made anew, until something is known to be good again
  Moment since;      // of the phase
  std::map<std::string, ReleaseRecord> releases;
  LastDeploy last;

  [[nodiscard]] std::optional<Mark> verdict(const std::string& release) const;
  [[nodiscard]] bool is(const std::string& release, Mark mark) const { return verdict(release) == mark; }
  // A candidate is live: the app may be running it.
  [[nodiscard]] bool has_candidate() const {
    return phase == Phase::swapped || phase == Phase::probation || phase == Phase::rolling_back;
  }
};

// One step of the state machine: what it is called in the history, and what it does to the state. The
// functions below make them; each refuses (Outcome::no, with the phase in the message) where the step is not
// allowed.
struct Transition {
  std::string event;
  std::string release;
  std::string from;
  std::string reason;
  std::vector<std::string> releases = {};                   // where it is about several
  std::map<std::string, std::optional<Mark>> verdicts = {}; // those that it changes; nothing: it is forgotten
  Asker by = {};                                            // who asked for it, where that is known
  bool forced = false;                                      // what spoke against it was passed over
};

// How many bad verdicts of releases that are gone are remembered.
inline constexpr std::size_t most_gone_remembered = 100;

namespace step {
// A swap to `release` is about to happen. From idle and stuck.
Result<Transition> intend(State& state, const std::string& release, const std::string& from,
                          const std::string& from_link, const Moment& now);
// The link points at the candidate. From prepared.
Result<Transition> swapped(State& state, const Moment& now);
// The swap did not take place: as before, which may have been stuck. From prepared.
Result<Transition> abandon(State& state, const std::string& reason, const Moment& now);
// Its health gate is passed: a candidate becomes good, or begins its probation; what was rolled back to is
// confirmed.
Result<Transition> passed(State& state, bool probation, const Moment& now);
// Its probation is over and nothing has spoken against it: it is good. From probation.
Result<Transition> held(State& state, const Moment& now);
// Its time begins again, for a reboot came between. From probation.
Result<Transition> probation_again(State& state, const Moment& now);
// A verdict by name; on the candidate, good ends its trial.
Result<Transition> mark(State& state, const std::string& release, Mark mark, const std::string& reason,
                        const Moment& now);
Result<Transition> clear(State& state, const std::string& release, const Moment& now);
// The candidate failed in this way; nothing else changes. The first reason is kept.
Result<Transition> note_failure(State& state, const std::string& reason, const Moment& now);
// Back to `target`, or to no release where there was none before; `left` becomes bad. From every phase.
Result<Transition> roll_back(State& state, const std::string& left, const std::string& target,
                             const std::string& reason, const Moment& now);
// A reboot or a crash came between: the deploy is over, and the app is on `current` again. No verdict: it was
// not the release's fault, unless it was known to fail before. From every phase but idle.
Result<Transition> interrupted(State& state, const std::string& current, const std::string& reason,
                               const Moment& now);
// A person is needed. A candidate on trial becomes bad, unless nobody is to blame: then it is possible in
// every phase, else from every phase but idle.
enum class Blame : std::uint8_t { candidate, nobody };
Result<Transition> stuck(State& state, const std::string& reason, const Moment& now,
                         Blame blame = Blame::candidate);
// A step that could not be made on disk is taken back: the state is as it was `before`. The counter of
// deploys stays.
Result<Transition> taken_back(State& state, const State& before, const std::string& reason);
// Releases that are no longer on disk. What is bad stays so, should it come back under its name; but the
// record is not to grow with each release that ever failed: of those that are gone (`gone`), the latest ones
// are remembered.
Result<Transition> pruned(State& state, const std::vector<std::string>& releases,
                          const std::vector<std::string>& gone = {});
} // namespace step

// How long a change waits for another one, which takes a moment.
inline constexpr Duration lock_patience = std::chrono::seconds(30);

// The record in STATE_DIR/APP. Reading needs no lock: the file is only ever replaced whole.
class Ledger {
 public:
  // Nothing recorded yet is an empty state; where the file is gone it is what Change would make anew. A state
  // file that cannot be understood is an error (Outcome::no) here; Change sets it aside.
  static Result<State> read(const std::string& state_dir, const std::string& app);

  // The lines of history.jsonl that are whole, oldest first, as written.
  // (What is torn by a crash, or is no JSON, is passed over.)
  static Result<std::vector<std::string>> history(const std::string& state_dir, const std::string& app);

  // What would be made anew of a record that cannot be understood, for which `why` says so.
  static Result<State> anew(const std::string& state_dir, const std::string& app, const std::string& why);

  // The right to change the record: holds the lock (flock on STATE_DIR/APP/lock) as long as it lives.
  class Change {
   public:
    // Outcome::busy if somebody else still has it after `patience`. A record that cannot be
    // understood is set aside and made anew: idle, with `current` as the current release, nothing good, and
    // bad what the history says so of.
    static Result<Change> begin(const std::string& state_dir, const std::string& app,
                                Duration patience = lock_patience, const std::string& current = "");

    State& state() { return state_; }
    // What is recorded now.
    [[nodiscard]] const State& recorded() const { return recorded_; }
    // What begin() had to set aside, for a warning; empty mostly.
    [[nodiscard]] const std::string& set_aside() const { return set_aside_; }

    // Makes a transition durable: history first, then the state, so that what the state says is always told
    // in the history. The Result is the step's: commit(step::passed(change.state(), ...)). On an error,
    // state() is what was recorded before. What begins a deploy also makes room for how it may end, which is
    // then recorded on a full disk, too.
    Result<void> commit(const Result<Transition>& transition);

   private:
    Change() = default;
    Result<void> make_anew(const Error& unreadable, const std::string& current);
    Result<void> keep_room(const Spare& spare);
    Result<void> write(const Transition& transition);

    std::string app_;
    std::string shown_; // STATE_DIR/APP
    Fd directory_;
    Fd lock_;
    State state_;
    State recorded_;
    std::string set_aside_;
  };
};

// The state as one JSON object, as in state.json.
std::string state_to_json(const std::string& app, const State& state);

} // namespace safe_deploy
