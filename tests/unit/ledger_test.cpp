#include "ledger.hpp"

#include "catch.hpp"
#include "scratch.hpp"

#include <sys/stat.h>

#include <random>
#include <set>
#include <thread>

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

// Runs one step on the record of "app".
template <class Step>
Result<void> change(const Scratch& scratch, Step step) {
  auto begun = Ledger::Change::begin(scratch.path(), "app");
  if (!begun) return forward_error(begun);
  return begun->commit(step(begun->state(), Moment::now()));
}

State state_of(const Scratch& scratch) {
  return Ledger::read(scratch.path(), "app").value();
}

void deploy_well(const Scratch& scratch, const std::string& release, const std::string& from) {
  REQUIRE(change(scratch, [&](State& s, const Moment& now) {
    return step::intend(s, release, from, "releases/" + from, now);
  }));
  REQUIRE(change(scratch, [&](State& s, const Moment& now) { return step::swapped(s, now); }));
  REQUIRE(change(scratch, [&](State& s, const Moment& now) { return step::passed(s, false, now); }));
}

} // namespace

TEST_CASE("nothing recorded yet is an empty state") {
  const Scratch scratch;
  const State state = state_of(scratch);
  CHECK(state.phase == Phase::idle);
  CHECK(state.releases.empty());
  CHECK(Ledger::history(scratch.path(), "app").value().empty());
}

TEST_CASE("a good deploy is recorded step by step") {
  const Scratch scratch;
  REQUIRE(change(
      scratch, [](State& s, const Moment& now) { return step::intend(s, "v1", "v0", "releases/v0", now); }));
  CHECK(state_of(scratch).phase == Phase::prepared);
  CHECK(state_of(scratch).current == "v0");
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::swapped(s, now); }));
  CHECK(state_of(scratch).current == "v1");
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::passed(s, true, now); }));
  CHECK(state_of(scratch).phase == Phase::probation);
  CHECK_FALSE(state_of(scratch).verdict("v1"));
  REQUIRE(
      change(scratch, [](State& s, const Moment& now) { return step::mark(s, "v1", Mark::good, "", now); }));
  const State state = state_of(scratch);
  CHECK(state.phase == Phase::idle);
  CHECK(state.is("v1", Mark::good));
  CHECK(state.last.outcome == "good");
  CHECK(Ledger::history(scratch.path(), "app").value().size() == 4);
}

TEST_CASE("a rollback marks what it leaves as bad, with the first reason that was noted") {
  const Scratch scratch;
  deploy_well(scratch, "v1", "");
  REQUIRE(change(
      scratch, [](State& s, const Moment& now) { return step::intend(s, "v2", "v1", "releases/v1", now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::swapped(s, now); }));
  for (const char* reason : {"answers 503", "later words"})
    REQUIRE(change(scratch, [&](State& s, const Moment& now) { return step::note_failure(s, reason, now); }));
  CHECK(state_of(scratch).failure == "answers 503");
  REQUIRE(change(scratch,
                 [](State& s, const Moment& now) { return step::roll_back(s, "v2", "v1", s.failure, now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::passed(s, false, now); }));
  const State state = state_of(scratch);
  CHECK(state.phase == Phase::idle);
  CHECK(state.current == "v1");
  CHECK(state.is("v2", Mark::bad));
  CHECK(state.releases.at("v2").reason == "answers 503");
  CHECK(state.is("v1", Mark::good));
  CHECK(state.last.outcome == "rolled-back");
}

TEST_CASE("a rollback that fails ends stuck, with why") {
  const Scratch scratch;
  deploy_well(scratch, "v1", "");
  REQUIRE(change(
      scratch, [](State& s, const Moment& now) { return step::intend(s, "v2", "v1", "releases/v1", now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::swapped(s, now); }));
  REQUIRE(change(scratch,
                 [](State& s, const Moment& now) { return step::roll_back(s, "v2", "v1", "503", now); }));
  REQUIRE(
      change(scratch, [](State& s, const Moment& now) { return step::note_failure(s, "v1 exits", now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::stuck(s, "", now); }));
  const State state = state_of(scratch);
  CHECK(state.phase == Phase::stuck);
  CHECK(state.stuck == "v1 exits");
  CHECK(state.is("v1", Mark::good)); // the environment may be at fault
}

TEST_CASE("a candidate that is stuck without a way back is bad") {
  const Scratch scratch;
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::intend(s, "v1", "", "", now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::swapped(s, now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::note_failure(s, "503", now); }));
  REQUIRE(change(scratch, [](State& s, const Moment& now) { return step::stuck(s, "", now); }));
  CHECK(state_of(scratch).is("v1", Mark::bad));
  CHECK(state_of(scratch).releases.at("v1").reason == "503");
}

TEST_CASE("steps that make no sense are refused and leave the record as it was") {
  const Scratch scratch;
  deploy_well(scratch, "v1", "");
  const std::string before = scratch.read("app/state.json");
  CHECK_FALSE(change(scratch, [](State& s, const Moment& now) { return step::swapped(s, now); }));
  CHECK_FALSE(change(scratch, [](State& s, const Moment& now) { return step::passed(s, false, now); }));
  CHECK_FALSE(change(scratch, [](State& s, const Moment& now) { return step::stuck(s, "x", now); }));
  CHECK_FALSE(change(scratch, [](State& s, const Moment& now) { return step::abandon(s, "x", now); }));
  CHECK_FALSE(change(scratch, [](State& s, const Moment& now) { return step::clear(s, "v7", now); }));
  CHECK(scratch.read("app/state.json") == before);
}

TEST_CASE("a state file that cannot be read is set aside, and nothing counts as good then") {
  for (const char* content :
       {"", "{", "garbage\n", "[]", "{\"format\":1}", "{\"format\":\"x\",\"phase\":\"idle\"}",
        "{\"format\":1,\"phase\":\"flying\"}", R"({"format":1,"phase":"idle","phase":"stuck"})"}) {
    const Scratch scratch;
    deploy_well(scratch, "v1", "");
    scratch.write("app/state.json", content);
    CHECK_FALSE(Ledger::read(scratch.path(), "app"));
    auto begun = Ledger::Change::begin(scratch.path(), "app");
    REQUIRE(begun);
    CHECK_FALSE(begun->set_aside().empty());
    CHECK(begun->state().releases.empty());
    unsigned kept = 0;
    for (const auto& entry : fs::directory_iterator(scratch / "app"))
      if (entry.path().filename().string().starts_with("state.json.unreadable-")) ++kept;
    CHECK(kept == 1);
  }
}

TEST_CASE("a state that is a directory, or of a newer version, is set aside") {
  const Scratch scratch;
  deploy_well(scratch, "v1", "");
  scratch.write("app/state.json", R"({"format":2,"phase":"idle"})");
  auto newer = Ledger::Change::begin(scratch.path(), "app");
  REQUIRE(newer);
  CHECK(newer->set_aside().find(
            "state.json: has format 2, this version knows 1 at most; kept as state.json.unreadable-") !=
        std::string::npos);
  newer = fail(Outcome::no, "", ""); // the lock is free
  fs::remove(scratch / "app/state.json");
  fs::create_directory(scratch / "app/state.json");
  auto begun = Ledger::Change::begin(scratch.path(), "app");
  if (!begun) FAIL(begun.error().text());
  CHECK_FALSE(begun->set_aside().empty());
}

TEST_CASE("one bad entry costs that entry only") {
  const Scratch scratch;
  scratch.write(
      "app/state.json",
      R"({"format":1,"phase":"idle","releases":{"v1":{"verdict":"good"},"v2":{"verdict":"nice"},"../x":{"verdict":"good"},"v3":7,"v4":{"verdict":"bad","reason":"r"}}})");
  const State state = state_of(scratch);
  CHECK(state.releases.size() == 2);
  CHECK(state.is("v1", Mark::good));
  CHECK(state.is("v4", Mark::bad));
}

TEST_CASE("a torn line spoils itself only") {
  const Scratch scratch;
  deploy_well(scratch, "v1", "");
  const std::string before = scratch.read("app/history.jsonl");
  scratch.write("app/history.jsonl", before + "{\"at\":\"2026-");
  deploy_well(scratch, "v2", "v1");
  CHECK(Ledger::history(scratch.path(), "app").value().size() == 6);
}

TEST_CASE("the record is readable to all, the lock is not") {
  const Scratch scratch;
  deploy_well(scratch, "v1", "");
  struct stat status {};
  REQUIRE(stat((scratch / "app/state.json").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
  REQUIRE(stat((scratch / "app/lock").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("changes of many threads come one after the other") {
  const Scratch scratch;
  std::vector<std::thread> threads;
  std::atomic<unsigned> failures = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string name = "v" + std::to_string(t * 25 + i);
        if (!change(scratch,
                    [&](State& s, const Moment& now) { return step::mark(s, name, Mark::good, "", now); }))
          ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(state_of(scratch).releases.size() == 100);
}

// The state machine against a model that knows phases only: a random walk of steps, most of which must be
// refused.
TEST_CASE("the steps agree with the picture of the state machine") {
  enum Move { intend, swapped, abandon, passed, passed_watch, good, roll_back, stuck, interrupted, moves };
  std::minstd_rand random(20260203);
  bool from_stuck = false; // the swap that is prepared began there
  const auto expected = [&](Phase phase, Move move) -> std::optional<Phase> {
    switch (move) {
      case intend:
        return phase == Phase::idle || phase == Phase::stuck ? std::optional(Phase::prepared) : std::nullopt;
      case swapped:
        return phase == Phase::prepared ? std::optional(Phase::swapped) : std::nullopt;
      case abandon:
        if (phase != Phase::prepared) return std::nullopt;
        return from_stuck ? Phase::stuck : Phase::idle;
      case passed:
        return phase == Phase::swapped || phase == Phase::rolling_back ? std::optional(Phase::idle)
                                                                       : std::nullopt;
      case passed_watch:
        return phase == Phase::swapped        ? std::optional(Phase::probation)
               : phase == Phase::rolling_back ? std::optional(Phase::idle)
                                              : std::nullopt;
      case good:
        return phase == Phase::swapped || phase == Phase::probation ? Phase::idle : phase;
      case roll_back:
        return Phase::rolling_back;
      case stuck:
        return phase != Phase::idle ? std::optional(Phase::stuck) : std::nullopt;
      case interrupted:
        return phase != Phase::idle ? std::optional(Phase::idle) : std::nullopt;
      default:
        return std::nullopt;
    }
  };
  State state;
  const Moment now{"2026-01-01T00:00:00.000Z", "boot", 1};
  std::set<std::string> bad;
  unsigned taken = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto move = static_cast<Move>(random() % moves);
    const std::string release = "v" + std::to_string(random() % 8);
    const Phase before = state.phase;
    const std::string candidate = state.candidate.empty() ? release : state.candidate;
    const auto want = expected(before, move);
    Result<Transition> got = fail(Outcome::no, "", "");
    switch (move) {
      case intend:
        got = step::intend(state, release, state.current, "", now);
        break;
      case swapped:
        got = step::swapped(state, now);
        break;
      case abandon:
        got = step::abandon(state, "", now);
        break;
      case passed:
        got = step::passed(state, false, now);
        break;
      case passed_watch:
        got = step::passed(state, true, now);
        break;
      case good:
        got = step::mark(state, candidate, Mark::good, "", now);
        break;
      case roll_back:
        got = step::roll_back(state, candidate, release, "r", now);
        break;
      case stuck:
        got = step::stuck(state, "s", now);
        break;
      case interrupted:
        got = step::interrupted(state, release, "i", now);
        break;
      default:
        break;
    }
    REQUIRE(got.has_value() == want.has_value());
    REQUIRE(state.phase == want.value_or(before));
    if (state.phase == Phase::prepared && before != Phase::prepared) from_stuck = before == Phase::stuck;
    REQUIRE((state.phase != Phase::idle || state.candidate.empty()));
    REQUIRE((state.phase != Phase::prepared || !state.candidate.empty()));
    if (got) ++taken;
  }
  CHECK(taken > 30000);
}
