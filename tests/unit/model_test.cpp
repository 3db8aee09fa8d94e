#include "catch.hpp"
#include "ledger.hpp"
#include "prune.hpp"
#include "releases.hpp"
#include "scratch.hpp"
#include "swap.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <random>
#include <set>
#include <vector>

// The state machine, and the commands that drive it, against a model of them. The model is written from the
// picture in ledger.hpp and from what the header files promise, and knows nothing of how it is done: what it
// says is looked for in the record, on the disk and in what is refused.
//
// SAFE_DEPLOY_MODEL_SEED in the environment is another seed than the usual one.

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

// Texts that JSON has to escape, and none.
constexpr std::array<const char*, 6> reasons{
    "", "answers 503", "says \"no\"\n\tat /x\\y", "\x01\x7f", "\u00fcberlastet \u2014 \U0001F525", "v2"};

class Dice {
 public:
  explicit Dice(unsigned seed) : random_(seed) {}
  unsigned below(std::size_t n) { return static_cast<unsigned>(random_() % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <class Container>
  auto of(const Container& container) {
    return *std::next(container.begin(), below(container.size()));
  }

 private:
  std::mt19937 random_;
};

unsigned seed() {
  const char* given = std::getenv("SAFE_DEPLOY_MODEL_SEED"); // NOLINT(concurrency-mt-unsafe)
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 20260203;
}

// ---- The model of the record ----------------------------------------------------------------------------

using Verdicts = std::map<std::string, std::pair<Mark, std::string>>;

// A deploy or rollback from its beginning to its end.
struct Deploy {
  std::uint64_t number = 0;
  std::string release;
  std::string from;
  std::string outcome;
  std::string reason;
  bool ended = false;
};

struct Model {
  Phase phase = Phase::idle;
  std::string current;
  std::string candidate;
  std::string from;
  std::string from_link;
  std::string target;
  std::string failure;   // of the candidate
  std::string condemned; // the candidate was called bad by hand
  std::string stuck;
  std::string lost;         // why the record had to be made anew
  bool began_stuck = false; // the swap that is prepared
  Verdicts verdicts;
  Deploy last;
  double entered = 0; // when the phase began

  [[nodiscard]] bool on_trial() const { return phase == Phase::swapped || phase == Phase::probation; }
  [[nodiscard]] bool is(const std::string& release, Mark mark) const {
    const auto found = verdicts.find(release);
    return found != verdicts.end() && found->second.first == mark;
  }

  void judge(const std::string& release, Mark mark, const std::string& reason) {
    verdicts[release] = {mark, reason};
    if (mark == Mark::good) lost.clear();
  }
  void enter(Phase next, double now) {
    phase = next;
    entered = now;
  }
  void rest(const std::string& outcome, std::string reason, double now) {
    enter(Phase::idle, now);
    for (std::string* gone : {&candidate, &from, &from_link, &target, &failure, &condemned, &stuck})
      gone->clear();
    end(outcome, std::move(reason));
  }
  void end(const std::string& outcome, std::string reason) {
    last.outcome = outcome;
    last.reason = std::move(reason);
    last.ended = true;
  }
  void begin(const std::string& release, const std::string& old) {
    last = {last.number + 1, release, old, "", "", false};
  }
};

// One step, with all that it may be given.
struct Step {
  enum Kind {
    intend,
    swapped,
    abandon,
    passed,
    passed_to_probation,
    held,
    probation_again,
    good,
    bad,
    clear,
    failure,
    roll_back,
    interrupted,
    stuck,
    stuck_blameless,
    pruned,
    taken_back,
    kinds
  };
  Kind kind = intend;
  std::string release = {};
  std::string other = {};
  std::string reason = {};
  double now = 0;
};

constexpr std::array<const char*, Step::kinds> step_names{
    // in the order of Step::Kind

    "intend",  "swapped",         "abandon",     "passed", "passed to probation",
    "held",    "probation again", "good",        "bad",    "clear",
    "failure", "roll back",       "interrupted", "stuck",  "stuck, blameless",
    "pruned",  "taken back"};

// In which phases a step can be taken: rows are steps, columns idle, prepared, swapped, probation,
// rolling-back, stuck.
constexpr std::array<std::array<bool, 6>, Step::kinds> allowed{{
    {true, false, false, false, false, true},  // intend
    {false, true, false, false, false, false}, // swapped
    {false, true, false, false, false, false}, // abandon
    {false, false, true, false, true, false},  // passed
    {false, false, true, false, true, false},  // passed to probation
    {false, false, false, true, false, false}, // held
    {false, false, false, true, false, false}, // probation again
    {true, true, true, true, true, true},      // good
    {true, true, true, true, true, true},      // bad
    {true, true, true, true, true, true},      // clear
    {false, false, true, true, true, false},   // failure
    {true, true, true, true, true, true},      // roll back
    {false, true, true, true, true, true},     // interrupted
    {false, true, true, true, true, true},     // stuck
    {true, true, true, true, true, true},      // stuck, blameless
    {true, true, true, true, true, true},      // pruned
    {false, false, false, false, true, false}, // taken back
}};

// Whether the step can be taken; if so, what comes of it. `before` is what is taken back.
bool expect(Model& model, const Step& step, const Model& before = {}) {
  if (!allowed[step.kind][static_cast<std::size_t>(model.phase)]) return false;
  const bool of_candidate = model.on_trial() && step.release == model.candidate;
  switch (step.kind) {
    case Step::intend:
      model.began_stuck = model.phase == Phase::stuck;
      model.enter(Phase::prepared, step.now);
      model.begin(step.release, step.other);
      model.candidate = step.release;
      model.from = model.current = step.other;
      model.from_link = step.reason;
      model.target = model.failure = model.condemned = "";
      return true;
    case Step::swapped:
      model.enter(Phase::swapped, step.now);
      model.current = model.candidate;
      model.stuck = "";
      return true;
    case Step::abandon: {
      const std::string why_stuck = model.stuck;
      model.current = model.from;
      model.rest("abandoned", step.reason, step.now);
      if (!model.began_stuck) return true;
      model.phase = Phase::stuck;
      model.stuck = why_stuck;
      return true;
    }
    case Step::passed:
    case Step::passed_to_probation:
      if (model.phase == Phase::rolling_back) {
        if (model.target.empty()) return false; // nothing runs that could be healthy
        if (!model.condemned.empty()) return false;
        if (!model.is(model.target, Mark::good)) model.judge(model.target, Mark::good, "");
        model.current = model.target;
        model.rest("rolled-back", model.failure, step.now);
        return true;
      }
      if (!model.condemned.empty()) return false;
      if (step.kind == Step::passed_to_probation) {
        model.enter(Phase::probation, step.now);
        return true;
      }
      model.judge(model.candidate, Mark::good, "");
      model.rest("good", "", step.now);
      return true;
    case Step::held:
      if (!model.condemned.empty()) return false;
      model.judge(model.candidate, Mark::good, "");
      model.rest("good", "", step.now);
      return true;
    case Step::probation_again:
      model.enter(Phase::probation, step.now);
      return true;
    case Step::good:
      model.judge(step.release, Mark::good, step.reason);
      if (model.phase == Phase::rolling_back && step.release == model.target) model.condemned = "";
      if (of_candidate) model.rest("good", "", step.now);
      // A record that was lost learns what runs.
      if (model.phase == Phase::idle && model.current.empty()) model.current = step.release;
      return true;
    case Step::bad:
      model.judge(step.release, Mark::bad, step.reason);
      if (of_candidate || (model.phase == Phase::rolling_back && step.release == model.target))
        model.condemned = step.reason.empty() ? "by hand" : step.reason;
      return true;
    case Step::clear:
      if (model.verdicts.erase(step.release) == 0) return false;
      if (step.release == model.candidate ||
          (model.phase == Phase::rolling_back && step.release == model.target))
        model.condemned = "";
      return true;
    case Step::failure: {
      std::string& first = model.phase == Phase::rolling_back ? model.stuck : model.failure;
      if (first.empty()) first = step.reason;
      return true;
    }
    case Step::roll_back:
      if (model.phase == Phase::idle || model.phase == Phase::stuck) model.begin(step.other, step.release);
      model.last.outcome = "";
      model.enter(Phase::rolling_back, step.now);
      model.candidate = step.release;
      model.target = step.other;
      model.condemned = "";
      model.failure = step.reason;
      model.stuck = "";
      if (!step.release.empty() && step.release != step.other)
        model.judge(step.release, Mark::bad, step.reason);
      return true;
    case Step::interrupted:
      if (model.on_trial() && !model.failure.empty() && model.candidate != step.release)
        model.judge(model.candidate, Mark::bad, model.failure);
      model.current = step.release;
      model.rest("interrupted", step.reason, step.now);
      return true;
    case Step::stuck:
    case Step::stuck_blameless:
      if (model.on_trial() && step.kind == Step::stuck)
        model.judge(model.candidate, Mark::bad, model.failure.empty() ? step.reason : model.failure);
      model.enter(Phase::stuck, step.now);
      if (!step.reason.empty()) model.stuck = step.reason;
      if (model.stuck.empty()) model.stuck = model.failure;
      if (model.stuck.empty()) model.stuck = "no reason was given";
      model.end("stuck", model.stuck);
      return true;
    case Step::pruned:
      // What is bad stays so, should it come back.
      if (model.is(step.release, Mark::good)) model.verdicts.erase(step.release);
      return true;
    case Step::taken_back: {
      const std::uint64_t number = model.last.number;
      model = before;
      model.last.number = number;
      return true;
    }
    case Step::kinds:
      break;
  }
  return false;
}

// What the record says otherwise than the model; empty if nothing.
std::string difference(const Model& model, const State& state) {
  std::string found;
  const auto compare = [&](const char* what, std::string_view want, std::string_view is) {
    if (want != is) found += fmt::format("{} is '{}', not '{}'. ", what, is, want);
  };
  compare("phase", phase_name(model.phase), phase_name(state.phase));
  compare("current", model.current, state.current);
  compare("candidate", model.candidate, state.candidate);
  compare("from", model.from, state.from);
  compare("from_link", model.from_link, state.from_link);
  compare("target", model.target, state.target);
  compare("failure", model.failure, state.failure);
  compare("condemned", model.condemned, state.condemned);
  compare("stuck", model.stuck, state.stuck);
  compare("lost", model.lost, state.lost);
  if (model.last.number != state.last.number) found += "last.number is another. ";
  compare("last.release", model.last.release, state.last.release);
  compare("last.from", model.last.from, state.last.from);
  compare("last.outcome", model.last.outcome, state.last.outcome);
  compare("last.reason", model.last.reason, state.last.reason);
  // Who rolls back again what has ended says so with a new end.
  if (model.last.ended && state.last.ended.empty()) found += "the deploy has no end. ";
  for (const auto& [name, verdict] : model.verdicts) {
    const auto known = state.releases.find(name);
    if (known == state.releases.end() || known->second.verdict != verdict.first)
      found += fmt::format("{} is not {}. ", name, mark_name(verdict.first));
    else
      compare("a reason", verdict.second, known->second.reason);
  }
  if (model.verdicts.size() != state.releases.size())
    found += "there are more verdicts than there should be. ";
  return found;
}

Result<Transition> take(State& state, const Step& step, const Moment& now, const State& before = {}) {
  switch (step.kind) {
    case Step::intend:
      return step::intend(state, step.release, step.other, step.reason, now);
    case Step::swapped:
      return step::swapped(state, now);
    case Step::abandon:
      return step::abandon(state, step.reason, now);
    case Step::passed:
      return step::passed(state, false, now);
    case Step::passed_to_probation:
      return step::passed(state, true, now);
    case Step::held:
      return step::held(state, now);
    case Step::probation_again:
      return step::probation_again(state, now);
    case Step::good:
      return step::mark(state, step.release, Mark::good, step.reason, now);
    case Step::bad:
      return step::mark(state, step.release, Mark::bad, step.reason, now);
    case Step::clear:
      return step::clear(state, step.release, now);
    case Step::failure:
      return step::note_failure(state, step.reason, now);
    case Step::roll_back:
      return step::roll_back(state, step.release, step.other, step.reason, now);
    case Step::interrupted:
      return step::interrupted(state, step.release, step.reason, now);
    case Step::stuck:
      return step::stuck(state, step.reason, now);
    case Step::stuck_blameless:
      return step::stuck(state, step.reason, now, step::Blame::nobody);
    case Step::pruned:
      return step::pruned(state, {step.release});
    case Step::taken_back:
      return step::taken_back(state, before, step.reason);
    case Step::kinds:
      break;
  }
  return fail(Outcome::usage, "", "no step");
}

// What holds after every step, whatever was asked for. `before` is the state before it.
std::string broken_promise(const State& before, const State& state, const Step& step) {
  const bool at_rest = state.phase == Phase::idle;
  for (const std::string* text : {&state.candidate, &state.from, &state.from_link, &state.target,
                                  &state.failure, &state.condemned, &state.stuck})
    if (at_rest && !text->empty()) return fmt::format("at rest, and '{}' is left of a deploy", *text);
  if ((state.phase == Phase::prepared || state.phase == Phase::swapped || state.phase == Phase::probation) &&
      state.candidate.empty())
    return "a deploy without a candidate";
  for (const auto& [name, record] : state.releases) {
    const auto old = before.verdict(name);
    if (old == record.verdict) continue;
    const bool may_be_good = step.kind == Step::good || step.kind == Step::passed || step.kind == Step::held;
    const bool may_be_bad = step.kind == Step::bad || step.kind == Step::roll_back ||
                            step.kind == Step::stuck ||
                            (step.kind == Step::interrupted && !before.failure.empty());
    const bool confirmed = step.kind == Step::passed_to_probation && before.phase == Phase::rolling_back;
    if (step.kind == Step::taken_back) continue; // to what it was
    if (record.verdict == Mark::good && !may_be_good && !confirmed) return name + " became good by itself";
    if (record.verdict == Mark::bad && !may_be_bad) return name + " became bad by itself";
  }
  for (const auto& [name, record] : before.releases)
    if (!state.verdict(name) && step.kind != Step::clear && step.kind != Step::taken_back &&
        (step.kind != Step::pruned || record.verdict == Mark::bad))
      return name + " was forgotten";
  if (state.last.number < before.last.number) return "the count of deploys went back";
  return {};
}

std::string describe(const Step& step) {
  return fmt::format("{} (release '{}', other '{}', reason '{}')", step_names[step.kind], step.release,
                     step.other, step.reason);
}

Step random_step(Dice& dice, const State& state) {
  constexpr std::array<const char*, 6> names{"v1", "v2", "v9", "v10", "v10.1", "\u00fc"};
  Step step;
  step.kind = static_cast<Step::Kind>(dice.below(Step::kinds - 1));
  // Most of what comes is about the release that is in question, as in life.
  step.release = !state.candidate.empty() && !dice.one_in(3) ? state.candidate : dice.of(names);
  step.other = dice.of(names);
  step.reason = dice.of(reasons);
  if (step.kind == Step::intend && dice.one_in(8)) step.other.clear();
  if (step.kind == Step::intend) step.reason = step.other.empty() ? "" : "releases/" + step.other;
  if (step.kind == Step::roll_back && dice.one_in(16)) step.release.clear();
  if (step.kind == Step::roll_back && dice.one_in(16)) step.other.clear(); // the first deploy of all is left
  return step;
}

void learn_verdicts(std::map<std::string, Mark>& told,
                    const std::map<std::string, std::optional<Mark>>& changes) {
  for (const auto& [release, verdict] : changes) {
    told.erase(release);
    if (verdict) told[release] = *verdict;
  }
}

// A directory in memory where there is one: what is to be found here is not how durable a disk is.
std::string fast_directory() {
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path().string();
}

} // namespace

TEST_CASE("100,000 steps at random do to the record what the model says, and survive being written") {
  Dice dice(seed());
  const Scratch scratch(fast_directory());
  State state;
  Model model;
  std::map<std::string, Mark> told; // the verdicts, as who reads the history has them
  std::optional<std::pair<State, Model>> undo;
  std::array<std::array<unsigned, 6>, Step::kinds> taken{};
  std::string problem;
  std::array<std::pair<Step, Phase>, 20> last_steps;
  unsigned count = 0;
  for (; count < 100000 && problem.empty(); ++count) {
    const State before = state;
    const Model known = model;
    Step step = random_step(dice, state);
    if (undo && dice.one_in(4)) step.kind = Step::taken_back;
    const State& undone = undo ? undo->first : before;
    step.now = count + 0.125;
    const Moment now{fmt::format("2026-02-03T04:05:{:02}.{:03}Z", count / 1000 % 60, count % 1000), "boot",
                     step.now};
    const bool wanted = expect(model, step, undo ? undo->second : known);
    const auto got = take(state, step, now, undone);
    if (got) learn_verdicts(told, got->verdicts);
    const auto agrees = [&](const auto& entry) { return state.is(entry.first, entry.second); };
    if (told.size() != state.releases.size() || !std::all_of(told.begin(), told.end(), agrees))
      problem += "the history tells other verdicts. ";
    undo.reset();
    if (got && step.kind == Step::roll_back) undo.emplace(before, known);
    if (got.has_value() != wanted)
      problem = wanted ? "refused: " + got.error().text() : std::string("was not refused");
    if (!got && got.error().outcome() != Outcome::no) problem += "the refusal is no plain no. ";
    if (got && got->event.empty()) problem += "the history has no name for it. ";
    problem += difference(model, state);
    if (state.since.monotonic != model.entered) problem += "the phase began at another time. ";
    problem += broken_promise(before, state, step);
    if (wanted) ++taken[step.kind][static_cast<std::size_t>(before.phase)];
    if (count % 100 == 0 && problem.empty()) {
      const std::string text = state_to_json("app", state);
      scratch.write("app/state.json", text);
      const auto back = Ledger::read(scratch.path(), "app");
      if (!back)
        problem = back.error().text();
      else
        problem = difference(model, *back);
      if (back && state_to_json("app", *back) != text) problem += "is another record when read back. ";
    }
    last_steps[count % last_steps.size()] = {step, before.phase};
  }
  std::string trail; // for who has to find out
  for (unsigned i = count - std::min<unsigned>(count, last_steps.size()); i < count; ++i) {
    const auto& [step, phase] = last_steps[i % last_steps.size()];
    trail += fmt::format("  {}: {}, in phase {}\n", i, describe(step), phase_name(phase));
  }
  INFO("seed " << seed() << ", the last steps:\n" << trail);
  if (!problem.empty()) FAIL(problem);
  // None of the table's steps was left out.
  for (std::size_t kind = 0; kind < taken.size(); ++kind)
    for (std::size_t phase = 0; phase < taken[kind].size(); ++phase) {
      INFO(step_names[kind] << " in phase " << phase_name(static_cast<Phase>(phase)));
      CHECK((taken[kind][phase] > 0) == allowed[kind][phase]);
    }
}

// ---- The commands, on a disk ----------------------------------------------------------------------------

namespace {

struct OnDisk {
  bool complete = true;
  bool irreversible = false;
};

// By version, as strverscmp(3) has it.
constexpr std::array<const char*, 5> pool{"v1", "v2", "v9", "v10", "v11"};

// The model of an app: its record, and what is on the disk.
struct World {
  Model record;
  std::map<std::string, OnDisk> releases;
  std::string link;     // the release that it names; empty: there is none
  std::string previous; // likewise
  std::string next;     // the requests
  std::string back;

  [[nodiscard]] bool is_sound(const std::string& name) const {
    const auto found = releases.find(name);
    return found != releases.end() && found->second.complete;
  }
  [[nodiscard]] bool is_irreversible(const std::string& name) const {
    const auto found = releases.find(name);
    return found != releases.end() && found->second.irreversible;
  }
  [[nodiscard]] bool has_candidate() const {
    return record.on_trial() || record.phase == Phase::rolling_back;
  }

  // What a deploy takes where none is named; empty where it is refused.
  [[nodiscard]] std::string newest() const {
    bool passed_over = false;
    for (auto name = pool.rbegin(); name != pool.rend(); ++name) {
      if (!releases.contains(*name)) continue;
      if (!is_sound(*name) || record.is(*name, Mark::bad))
        passed_over = true;
      else
        return passed_over && *name == link && record.phase == Phase::idle ? "" : *name;
    }
    return "";
  }
  // Where a rollback from `left` goes by itself; empty: nowhere.
  [[nodiscard]] std::string way_back(const std::string& left) const {
    const auto fits = [&](const std::string& name) {
      return name != left && is_sound(name) && record.is(name, Mark::good);
    };
    if (has_candidate() && fits(record.from)) return record.from;
    if (fits(previous)) return previous;
    const auto found = std::find_if(pool.rbegin(), pool.rend(), fits);
    return found == pool.rend() ? "" : *found;
  }

  // Of all: there was not even a link before.
  [[nodiscard]] bool is_first_deploy() const {
    return has_candidate() && record.from.empty() && record.from_link.empty() &&
           (record.on_trial() || record.target.empty());
  }

  // A swap that was cut short is as if it had not begun.
  void settle(double now) {
    if (record.phase != Phase::prepared) return;
    if (link == record.candidate) link = record.from;
    REQUIRE(expect(record, {.kind = Step::abandon, .now = now}));
  }
};

enum class Said { done, unchanged, no, busy };

Said swap(World& world, const std::optional<std::string>& asked, bool force, double now) {
  world.settle(now);
  if (world.has_candidate()) return Said::busy;
  std::string release = asked.value_or(world.next);
  const bool named = !release.empty();
  if (!named) release = world.newest();
  if (release.empty() && force) release = world.link;
  if (!world.is_sound(release)) return Said::no;
  if (named && !force && world.record.is(release, Mark::bad)) return Said::no;
  if (world.link == release && world.record.phase == Phase::idle && !force) {
    if (!asked) world.next.clear();
    return Said::unchanged;
  }
  const std::string from_link = world.link.empty() ? "" : "releases/" + world.link;
  REQUIRE(expect(
      world.record,
      {.kind = Step::intend, .release = release, .other = world.link, .reason = from_link, .now = now}));
  if (!world.link.empty() && world.link != release && world.record.is(world.link, Mark::good))
    world.previous = world.link;
  world.link = release;
  REQUIRE(expect(world.record, {.kind = Step::swapped, .now = now}));
  world.next.clear();
  return Said::done;
}

Said roll_back(World& world, const std::optional<std::string>& asked, const std::string& reason, double now) {
  const std::string named = asked.value_or(world.back);
  const bool by_itself = named.empty() && reason.empty();
  if (world.record.phase == Phase::prepared) {
    const std::string before = world.link;
    world.settle(now);
    if (by_itself) return world.link == before ? Said::unchanged : Said::done;
  }
  const std::string left = world.has_candidate() ? world.record.candidate : world.link;
  const bool is_right = world.record.is(world.link, Mark::good) && world.is_sound(world.link);
  if (by_itself && world.record.phase == Phase::idle && is_right) return Said::unchanged;
  const bool proves_itself = by_itself && world.record.phase == Phase::stuck && is_right;
  if (by_itself && !proves_itself && world.is_irreversible(left)) return Said::no;
  const std::string target = proves_itself ? world.link : named.empty() ? world.way_back(left) : named;
  const bool to_nothing = named.empty() && target.empty() && world.is_first_deploy();
  if (!world.is_sound(target) && !to_nothing) return Said::no;
  if (!named.empty() && target == world.link && world.record.phase == Phase::idle) {
    world.back.clear();
    return Said::unchanged;
  }
  const bool moves = world.link != target;
  const bool by_person = !asked && !named.empty();
  const std::string why = !reason.empty()                 ? reason
                          : !world.record.failure.empty() ? world.record.failure
                          : world.record.phase == Phase::probation
                              ? by_person ? "rolled back by hand" : "its probation was ended"
                          : world.has_candidate() ? "the deploy failed"
                                                  : "rolled back by hand";
  if (!to_nothing || world.record.phase != Phase::rolling_back || !world.record.target.empty())
    REQUIRE(expect(world.record,
                   {.kind = Step::roll_back, .release = left, .other = target, .reason = why, .now = now}));
  world.link = target;
  if (to_nothing) return Said::no;
  world.back.clear();
  return moves ? Said::done : Said::unchanged;
}

// What a prune removes.
std::set<std::string> prune(World& world, std::uint64_t keep) {
  std::set<std::string> removed;
  std::vector<std::string> good; // the newest first
  for (auto name = pool.rbegin(); name != pool.rend(); ++name)
    if (world.releases.contains(*name) && world.record.is(*name, Mark::good)) good.emplace_back(*name);
  std::set<std::string> needed{
      world.link,        world.previous,      world.record.current, world.record.candidate,
      world.record.from, world.record.target, world.next,           world.back};
  const bool known = world.record.lost.empty();
  needed.insert(good.begin(),
                good.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(keep, good.size())));
  const bool enough = good.size() >= keep;
  bool older_than_kept = false;
  bool older_than_current = false;
  for (auto name = pool.rbegin(); name != pool.rend(); ++name) {
    const bool old = older_than_current && (world.record.is(*name, Mark::bad) || (enough && older_than_kept));
    // What nothing is known of may be no release at all where it is not complete.
    const bool certain = world.record.verdicts.contains(*name) || world.is_sound(*name);
    if (known && old && certain && world.releases.contains(*name) && !needed.contains(*name))
      removed.insert(*name);
    if (*name == world.link && world.releases.contains(*name)) older_than_current = true;
    if (enough && *name == good[keep - 1]) older_than_kept = true;
  }
  const bool mounted = world.releases.contains(world.link);
  for (const auto& name : removed) world.releases.erase(name);
  for (const auto* name : pool)
    if (mounted && !world.releases.contains(name) && !needed.contains(name))
      REQUIRE(expect(world.record, {.kind = Step::pruned, .release = name}));
  return removed;
}

// The record could not be read: it is made anew, and nothing in it is good.
void lose_record(World& world) {
  Model& record = world.record;
  record.rest("", "", 0);
  record.current = world.link;
  const std::uint64_t number = record.last.number;
  record.last = {};
  record.last.number = number;
  std::erase_if(record.verdicts, [](const auto& entry) { return entry.second.first == Mark::good; });
}

// `rebooted`: since the phase began.
Said reconcile(World& world, bool rebooted, double now) {
  Model& record = world.record;
  if (record.phase == Phase::probation) {
    if (!rebooted) return Said::unchanged;
    if (world.link == record.candidate && world.is_sound(record.candidate) && record.failure.empty() &&
        record.condemned.empty()) {
      REQUIRE(expect(record, {.kind = Step::probation_again, .now = now}));
      return Said::unchanged;
    }
  }
  const std::string before = world.link;
  if (record.phase == Phase::prepared) {
    world.settle(now);
  } else if (world.has_candidate()) {
    const bool on = record.phase == Phase::rolling_back && world.is_sound(record.target) &&
                    record.is(record.target, Mark::good);
    const bool moved_by_hand = record.phase == Phase::probation && world.link != record.candidate &&
                               world.is_sound(world.link) && record.is(world.link, Mark::good);
    const bool one_way = record.on_trial() && world.is_irreversible(record.candidate);
    const bool once_more = record.phase == Phase::swapped && record.from == record.candidate &&
                           world.is_sound(record.candidate) && record.is(record.candidate, Mark::good);
    const std::string target = on              ? record.target
                               : moved_by_hand ? world.link
                               : once_more     ? record.candidate
                               : one_way       ? ""
                                               : world.way_back(record.candidate);
    if (target.empty() && (!world.is_first_deploy() || world.is_irreversible(record.candidate))) {
      REQUIRE(expect(record, {.kind = Step::stuck_blameless, .now = now}));
    } else {
      world.link = target;
      REQUIRE(expect(record, {.kind = Step::interrupted, .release = target, .now = now}));
    }
  }
  return world.link == before ? Said::unchanged : Said::done;
}

// The real thing, on a disk.
class Host {
 public:
  Host() : scratch_(fast_directory()) {
    config.app = "app";
    config.file = "app.conf";
    config.link = scratch_ / "current";
    config.releases = scratch_ / "releases";
    config.require = {"server"};
    places = {scratch_ / "state", scratch_ / "run"};
    fs::create_directory(config.releases);
    fs::create_directories(scratch_ / "run/app");
  }

  void put(const std::string& name, const OnDisk& release) const {
    const fs::path path = fs::path(config.releases) / name;
    fs::remove_all(path);
    fs::create_directory(path);
    if (release.complete) scratch_.write("releases/" + name + "/server", "#!");
    if (release.irreversible) scratch_.write("releases/" + name + "/.irreversible", "");
  }
  void remove(const std::string& name) const { fs::remove_all(fs::path(config.releases) / name); }
  void point(const std::string& name) const {
    const auto pointed =
        name.empty() ? remove_link(config.link, false) : point_link(config.link, "releases/" + name, false);
    REQUIRE(pointed);
  }
  void point_previous(const std::string& name) const {
    REQUIRE(point_link(previous_link(config), "releases/" + name, false));
  }
  void ask(const std::string& request, const std::string& name) const {
    const std::string path = scratch_ / ("run/app/" + request);
    fs::remove(path);
    fs::create_symlink(name, path);
  }
  void lose_record(const std::string& current) const {
    scratch_.write("state/app/state.json", "garbage");
    const auto change = Ledger::Change::begin(places.state_dir, "app", lock_patience, current);
    REQUIRE(change);
    CHECK_FALSE(change->set_aside().empty());
    for (const auto& entry : fs::directory_iterator(scratch_ / "state/app"))
      if (entry.path().filename().string().find(".unreadable-") != std::string::npos) fs::remove(entry);
  }
  bool commit(const Step& step) const {
    auto change = Ledger::Change::begin(places.state_dir, "app");
    REQUIRE(change);
    return change->commit(take(change->state(), step, Moment::now())).has_value();
  }

  // What is under way began in another boot.
  void reboot() const {
    std::string text = scratch_.read("state/app/state.json");
    const std::string boot = Ledger::read(places.state_dir, "app").value().since.boot;
    if (const std::size_t found = text.find(boot); !boot.empty() && found != std::string::npos)
      scratch_.write("state/app/state.json", text.replace(found, boot.size(), "another boot"));
  }

  [[nodiscard]] bool booted_before() const {
    return Ledger::read(places.state_dir, "app").value().since.boot == "another boot";
  }

  // Everything that can be seen of it, as one text.
  [[nodiscard]] std::string seen() const {
    const fs::path history = scratch_ / "state/app/history.jsonl";
    return fmt::format("{} {} {} {}", scratch_.read("state/app/state.json"),
                       read_link(config.link)->value_or("-"), read_link(previous_link(config))->value_or("-"),
                       fs::exists(history) ? fs::file_size(history) : 0);
  }

  [[nodiscard]] std::string path(const std::string& name) const { return scratch_ / name; }
  [[nodiscard]] std::string read(const std::string& name) const { return scratch_.read(name); }

  Config config;
  Places places;

 private:
  Scratch scratch_;
};

std::string difference(const World& world, const Host& host, const State& state) {
  std::string found = difference(world.record, state);
  const auto compare = [&](const std::string& path, const std::string& text) {
    const auto link = read_link(path);
    if (!link)
      found += link.error().text();
    else if (link->value_or("") != text)
      found += fmt::format("{} is '{}', not '{}'. ", path, link->value_or(""), text);
  };
  compare(host.config.link, world.link.empty() ? "" : "releases/" + world.link);
  compare(previous_link(host.config), world.previous.empty() ? "" : "releases/" + world.previous);
  compare(host.path("run/app/next"), world.next);
  compare(host.path("run/app/rollback"), world.back);
  for (const auto& entry : fs::directory_iterator(host.path("")))
    if (entry.path().filename().string().starts_with('.')) found += entry.path().string() + " is left over. ";
  std::size_t there = 0;
  for (const auto& entry : fs::directory_iterator(host.config.releases)) {
    ++there;
    if (!world.releases.contains(entry.path().filename().string()))
      found += entry.path().string() + " is there. ";
  }
  if (there != world.releases.size()) found += "a release is gone. ";
  const std::string history = host.read("state/app/history.jsonl");
  const std::string phase = fmt::format(R"("phase":"{}")", phase_name(state.phase));
  if (!history.empty() &&
      history.find(phase, history.rfind('\n', history.size() - 2) + 1) == std::string::npos)
    found += "the last line of the history is of another phase. ";
  return found;
}

// Words that are for people only are not the model's to know; that there are some is.
void learn_words(Model& model, const State& state) {
  model.stuck = state.stuck;
  model.last.reason = state.last.reason;
  if (model.lost.empty() != state.lost.empty()) return;
  model.lost = state.lost;
}

std::string compare_said(Said wanted, const Result<Moved>& said) {
  const bool right = wanted == Said::no     ? !said && said.error().outcome() == Outcome::no
                     : wanted == Said::busy ? !said && said.error().outcome() == Outcome::busy
                                            : said && said->changed == (wanted == Said::done);
  if (right) return {};
  return said ? fmt::format("it said '{}' to '{}'. ", said->from, said->to) : said.error().text() + ". ";
}

// Of a record that was made anew: what is bad is known by the history, whose words are those of the step.
void learn_reasons(Model& model, const State& state) {
  model.lost = state.lost;
  for (auto& [name, verdict] : model.verdicts)
    if (const auto known = state.releases.find(name); known != state.releases.end())
      verdict.second = known->second.reason;
}

// A swap or rollback that a crash cut short, somewhere between its first and its last line.
void crash(Dice& dice, World& world, const Host& host) {
  const std::string release = dice.of(pool);
  if (!world.is_sound(release)) return;
  const bool link_moved = dice.one_in(2);
  if (world.record.phase == Phase::idle || world.record.phase == Phase::stuck) {
    if (release == world.link) return;
    const Step step{.kind = Step::intend,
                    .release = release,
                    .other = world.link,
                    .reason = world.link.empty() ? "" : "releases/" + world.link};
    REQUIRE(host.commit(step));
    REQUIRE(expect(world.record, step));
  } else if (world.record.phase != Phase::prepared) {
    const Step step{
        .kind = Step::roll_back, .release = world.record.candidate, .other = release, .reason = "cut short"};
    REQUIRE(host.commit(step));
    REQUIRE(expect(world.record, step));
  }
  if (!link_moved) return;
  if (world.record.phase == Phase::prepared) {
    if (!world.link.empty() && world.link == world.record.from && world.record.is(world.link, Mark::good)) {
      host.point_previous(world.link);
      world.previous = world.link;
    }
    world.link = world.record.candidate;
  } else {
    world.link = world.record.target;
  }
  host.point(world.link);
}

// What people and deploys do to the releases themselves. What is current or on trial is left alone.
void change_disk(Dice& dice, World& world, const Host& host) {
  const std::string name = dice.of(pool);
  if (name == world.link || name == world.record.candidate || name == world.record.target ||
      name == world.record.from)
    return;
  if (dice.one_in(4)) {
    world.releases.erase(name);
    host.remove(name);
    return;
  }
  const OnDisk release{.complete = !dice.one_in(4), .irreversible = dice.one_in(6)};
  world.releases[name] = release;
  host.put(name, release);
}

} // namespace

TEST_CASE(
    "deploys, rollbacks, crashes and reboots at random leave the disk and the record as the model has it") {
  Dice dice(seed());
  const Host host;
  World world;
  std::string problem;
  std::string trail;
  std::map<std::string, unsigned> done;
  for (unsigned count = 0; count < 1500 && problem.empty(); ++count) {
    const State before = Ledger::read(host.places.state_dir, "app").value();
    const std::string seen = host.seen();
    const Phase phase = before.phase;
    // A probation is rare, and what comes of it in a reboot is to be met.
    const unsigned what = phase == Phase::probation && dice.one_in(3) ? 8 : dice.below(18);
    const bool dry = what < 7 && dice.one_in(6);
    std::optional<std::string> name;
    if (dice.one_in(2)) name = dice.of(pool);
    const std::string reason = dice.one_in(2) ? dice.of(reasons) : "";
    std::string did;
    std::optional<Said> wanted;
    World after = world;
    Result<Moved> said = fail(Outcome::usage, "", "nothing was asked");
    if (what < 4) {
      const bool force = dice.one_in(4);
      did = fmt::format("swap to {}{}", name.value_or("the newest"), force ? " by force" : "");
      wanted = swap(after, name, force, 0);
      said = swap_to_release(host.config, host.places,
                             {.release = name, .force = force, .durable = true, .dry_run = dry});
      if (said && !force && before.is(said->release, Mark::bad) && said->release != world.link)
        problem += "a bad release was deployed. ";
    } else if (what < 7) {
      did = fmt::format("roll back to {}, reason '{}'", name.value_or("the last good one"), reason);
      wanted = roll_back(after, name, reason, 0);
      said = roll_back(host.config, host.places,
                       {.release = name, .reason = reason, .durable = true, .dry_run = dry});
      if (said && said->changed && !name && world.back.empty() && phase != Phase::prepared &&
          !before.is(said->release, Mark::good))
        problem += "a rollback went by itself to what is not good. ";
    } else if (what < 9) {
      const bool rebooted = dice.one_in(2);
      did = rebooted ? "reboot" : "reconcile";
      if (rebooted) host.reboot();
      if (rebooted && phase == Phase::probation && dice.one_in(3)) { // by hand, meanwhile
        after.link = dice.of(pool);
        host.point(after.link);
      }
      wanted = reconcile(after, rebooted || before.since.boot == "another boot", 0);
      said = reconcile(host.config, host.places);
      if (after.record.phase == Phase::probation) {
        ++done[rebooted ? "a probation again" : "a probation goes on"];
        if (host.booted_before()) problem += "it is a probation of another boot. ";
      }
      if (said && reconcile(host.config, host.places)->changed) problem += "it is not idempotent. ";
    } else if (what < 13) {
      // Only what the tools can ask for.
      constexpr std::array<Step::Kind, 9> kinds{Step::passed, Step::passed_to_probation,
                                                Step::passed, Step::passed_to_probation,
                                                Step::held,   Step::good,
                                                Step::bad,    Step::clear,
                                                Step::stuck};
      Step step{.kind = dice.one_in(6) ? Step::failure : dice.of(kinds), .release = dice.of(pool)};
      if (dice.one_in(2) && !before.candidate.empty()) step.release = before.candidate;
      step.reason = dice.of(reasons);
      did = describe(step);
      const bool possible = expect(after.record, step);
      if (host.commit(step) != possible) problem += possible ? "it was refused. " : "it was not refused. ";
      if (!possible) after = world;
      if (step.kind == Step::stuck)
        learn_words(after.record, Ledger::read(host.places.state_dir, "app").value());
    } else if (what == 13) {
      did = "crash";
      crash(dice, after, host);
    } else if (what == 14) {
      did = "a request";
      const bool deploy = dice.one_in(2);
      std::string& request = deploy ? after.next : after.back;
      request = dice.of(pool);
      host.ask(deploy ? "next" : "rollback", request);
    } else if (what == 15) {
      const PruneRequest request{.keep = 1 + dice.below(3), .dry_run = false};
      did = fmt::format("prune, keep {}", *request.keep);
      const auto gone = prune(after, *request.keep);
      const auto pruned = prune(host.config, host.places, {}, request);
      if (!pruned)
        problem += pruned.error().text();
      else if (std::set<std::string>(pruned->removed.begin(), pruned->removed.end()) != gone)
        problem += fmt::format("it removed {}, not {}. ", pruned->removed.size(), gone.size());
      ++done[gone.empty() ? "prunes nothing" : "prunes something"];
    } else if (what == 16 && before.last.number > 1 && dice.one_in(4)) {
      did = "the record is lost";
      lose_record(after);
      host.lose_record(world.link);
      learn_reasons(after.record, Ledger::read(host.places.state_dir, "app").value());
    } else {
      did = "releases come and go";
      change_disk(dice, after, host);
    }
    trail += fmt::format("  {}: {}{}, in phase {}\n", count, did, dry ? " (dry)" : "", phase_name(phase));
    if (trail.size() > 4000) trail.erase(0, trail.find('\n', 2000) + 1);
    if (dry) {
      if (host.seen() != seen) problem += "a dry run changed something. ";
      after = world;
    } else if (wanted) {
      problem += compare_said(*wanted, said);
    }
    world = after;
    const auto state = Ledger::read(host.places.state_dir, "app");
    if (!state) {
      problem += state.error().text();
      break;
    }
    if (what < 9 && !dry) {
      if (state->phase == Phase::stuck && phase != Phase::stuck && state->stuck.empty())
        problem += "nobody is told why it is stuck. ";
      learn_words(world.record, *state);
    }
    if (problem.empty()) problem = difference(world, host, *state);
    ++done[fmt::format("{} {}", did.substr(0, did.find(' ')),
                       wanted && !dry ? static_cast<int>(*wanted) : -1)];
  }
  INFO("seed " << seed() << ", the last steps:\n" << trail);
  if (!problem.empty()) FAIL(problem);
  // Each answer of each command was met.
  for (const char* answer : {"prunes nothing", "prunes something", "the -1", "swap 0", "swap 1", "swap 2",
                             "swap 3", "roll 0", "roll 1", "roll 2", "reconcile 0", "reconcile 1", "reboot 0",
                             "reboot 1", "a probation again", "a probation goes on", "held -1"}) {
    INFO(answer);
    CHECK(done[answer] > 0);
  }
}
