#include "history.hpp"

#include "catch.hpp"
#include "ledger.hpp"
#include "scratch.hpp"

#include <fmt/format.h>

using namespace safe_deploy;

namespace {

// The lines come from the record itself, so that what is written and what is read can't drift apart.
class Record {
 public:
  template <class Step>
  void step(Step step) {
    auto begun = Ledger::Change::begin(scratch_.path(), "app");
    REQUIRE(begun);
    REQUIRE(begun->commit(step(begun->state(), Moment::now())));
  }
  void intend(const std::string& release, const std::string& from, const Asker& by = {},
              bool forced = false) {
    step([&](State& s, const Moment& now) {
      return step::intend(s, release, from, from, now).map([&](Transition&& transition) {
        transition.by = by;
        transition.forced = forced;
        return std::move(transition);
      });
    });
  }
  void swapped() {
    step([](State& s, const Moment& now) { return step::swapped(s, now); });
  }
  void passed(bool probation = false) {
    step([&](State& s, const Moment& now) { return step::passed(s, probation, now); });
  }
  void mark(const std::string& release, Mark mark, const std::string& reason = "") {
    step([&](State& s, const Moment& now) { return step::mark(s, release, mark, reason, now); });
  }
  void roll_back(const std::string& left, const std::string& target, const std::string& reason) {
    step([&](State& s, const Moment& now) { return step::roll_back(s, left, target, reason, now); });
  }
  void failure(const std::string& reason) {
    step([&](State& s, const Moment& now) { return step::note_failure(s, reason, now); });
  }
  void stuck(const std::string& reason) {
    step([&](State& s, const Moment& now) { return step::stuck(s, reason, now); });
  }
  void deploy_well(const std::string& release, const std::string& from) {
    intend(release, from);
    swapped();
    passed();
  }

  [[nodiscard]] std::vector<std::string> lines() const {
    return Ledger::history(scratch_.path(), "app").value();
  }
  [[nodiscard]] std::vector<Deploy> deploys() const { return deploys_of(lines()); }
  [[nodiscard]] const Scratch& scratch() const { return scratch_; }

 private:
  Scratch scratch_;
};

std::vector<std::string> events(const Deploy& deploy) {
  std::vector<std::string> events;
  for (const auto& step : deploy.steps) events.push_back(step.event);
  return events;
}

using Words = std::vector<std::string>;

// A line as it is written.
std::string line(const std::string& event, unsigned number, const std::string& phase, unsigned second,
                 const std::string& boot = "b1", const std::string& more = "") {
  return fmt::format(R"({{"at":"2026-11-28T10:{:02}:{:02}.000Z","boot":"{}","monotonic":{}.5,)"
                     R"("event":"{}","release":"v2",{}"phase":"{}","deploy":{}}})",
                     second / 60 % 60, second % 60, boot, second, event, more, phase, number);
}

} // namespace

TEST_CASE("a good deploy is one entry, with its steps in order") {
  Record record;
  record.deploy_well("v1", "");
  const auto deploys = record.deploys();
  REQUIRE(deploys.size() == 1);
  const Deploy& deploy = deploys.front();
  CHECK(deploy.number == 1);
  CHECK(deploy.kind == "deploy");
  CHECK(deploy.release == "v1");
  CHECK(deploy.from.empty());
  CHECK(deploy.outcome == "good");
  CHECK(deploy.reason.empty());
  CHECK_FALSE(deploy.forced);
  CHECK(events(deploy) == Words{"swap-intended", "swapped", "good"});
  CHECK(deploy.took().value() >= 0);
  CHECK(deploy.took().value() < 10);
}

TEST_CASE("a deploy that failed tells why, and has the steps of its rollback") {
  Record record;
  record.deploy_well("v1", "");
  record.intend("v2", "v1");
  record.swapped();
  record.failure("answers 503");
  record.roll_back("v2", "v1", "answers 503");
  record.passed();
  const auto deploys = record.deploys();
  REQUIRE(deploys.size() == 2);
  CHECK(deploys[1].kind == "deploy");
  CHECK(deploys[1].release == "v2");
  CHECK(deploys[1].from == "v1");
  CHECK(deploys[1].outcome == "rolled-back");
  CHECK(deploys[1].reason == "answers 503");
  CHECK(events(deploys[1]) ==
        Words{"swap-intended", "swapped", "failure", "rollback-intended", "rolled-back"});
}

TEST_CASE("how far a deploy has come") {
  Record record;
  record.intend("v1", "");
  CHECK(record.deploys().back().outcome == "under way");
  record.swapped();
  CHECK(record.deploys().back().outcome == "under way");
  record.passed(true);
  CHECK(record.deploys().back().outcome == "probation");
  record.mark("v1", Mark::good);
  CHECK(record.deploys().back().outcome == "good");
}

TEST_CASE("a probation that begins again after a reboot goes on") {
  const auto deploys =
      deploys_of({line("swap-intended", 1, "prepared", 1), line("passed", 1, "probation", 2),
                  line("probation-again", 1, "probation", 3, "b2"), line("good", 1, "idle", 4, "b2")});
  REQUIRE(deploys.size() == 1);
  CHECK(deploys[0].outcome == "good");
  CHECK(deploys[0].steps.size() == 4);
}

TEST_CASE("other ends of a deploy") {
  Record record;
  record.deploy_well("v1", "");
  record.intend("v2", "v1");
  SECTION("abandoned") {
    record.step([](State& s, const Moment& now) { return step::abandon(s, "no room", now); });
    CHECK(record.deploys().back().outcome == "abandoned");
    CHECK(record.deploys().back().reason == "no room");
  }
  SECTION("taken back") {
    State before;
    before.current = "v1";
    record.step([&](State& s, const Moment&) { return step::taken_back(s, before, "read-only"); });
    CHECK(record.deploys().back().outcome == "abandoned");
    CHECK(record.deploys().back().reason == "read-only");
  }
  SECTION("interrupted") {
    record.swapped();
    record.step([](State& s, const Moment& now) { return step::interrupted(s, "v1", "a reboot", now); });
    CHECK(record.deploys().back().outcome == "interrupted");
    CHECK(record.deploys().back().reason == "a reboot");
  }
  SECTION("stuck, from which a rollback by hand is a new entry") {
    record.swapped();
    record.roll_back("v2", "v1", "503");
    record.stuck("v1 answers 503, too");
    CHECK(record.deploys().back().outcome == "stuck");
    CHECK(record.deploys().back().reason == "v1 answers 503, too");
    record.roll_back("v1", "v1", "by hand");
    record.passed();
    const auto deploys = record.deploys();
    REQUIRE(deploys.size() == 3);
    CHECK(deploys[2].kind == "rollback");
    CHECK(deploys[2].outcome == "rolled-back");
    CHECK(deploys[2].number == 3);
  }
}

TEST_CASE("a rollback that a person asked for is an entry of its own") {
  Record record;
  record.deploy_well("v1", "");
  record.deploy_well("v2", "v1");
  record.roll_back("v2", "v1", "too slow");
  record.passed();
  const auto deploys = record.deploys();
  REQUIRE(deploys.size() == 3);
  CHECK(deploys[2].kind == "rollback");
  CHECK(deploys[2].release == "v1");
  CHECK(deploys[2].from == "v2");
  CHECK(deploys[2].reason == "too slow");
}

TEST_CASE("verdicts by hand belong to no deploy, on another release not even during one") {
  Record record;
  record.deploy_well("v1", "");
  record.mark("v0", Mark::bad, "by hand");
  record.intend("v2", "v1");
  record.swapped();
  record.mark("v0", Mark::good);
  record.step([](State& s, const Moment&) { return step::pruned(s, {"v0"}); });
  record.passed();
  record.mark("v2", Mark::bad, "later");
  const auto deploys = record.deploys();
  REQUIRE(deploys.size() == 2);
  CHECK(events(deploys[0]) == Words{"swap-intended", "swapped", "good"});
  CHECK(events(deploys[1]) == Words{"swap-intended", "swapped", "good"});
  CHECK(deploys[1].outcome == "good");
}

TEST_CASE("who asked, and with what force") {
  const auto deploys = deploys_of(
      {line("swap-intended", 1, "prepared", 1, "b1",
            R"("by":{"uid":1000,"user":"ann","sudo_user":"bob","job":"GitLab CI x#1"},"forced":true,)"),
       line("good", 1, "idle", 2)});
  REQUIRE(deploys.size() == 1);
  CHECK(deploys[0].by.uid == 1000U);
  CHECK(deploys[0].by.user == "ann");
  CHECK(deploys[0].by.sudo_user == "bob");
  CHECK(deploys[0].by.job == "GitLab CI x#1");
  CHECK(deploys[0].forced);
}

TEST_CASE("how long a deploy took is told within one boot only") {
  const auto deploys =
      deploys_of({line("swap-intended", 1, "prepared", 10), line("good", 1, "idle", 12),
                  line("swap-intended", 2, "prepared", 20), line("interrupted", 2, "idle", 5, "b2"),
                  line("swap-intended", 3, "prepared", 30, ""), line("good", 3, "idle", 31, ""),
                  line("swap-intended", 4, "prepared", 40), line("good", 4, "idle", 39)});
  REQUIRE(deploys.size() == 4);
  CHECK(deploys[0].took().value() == Approx(2));
  CHECK_FALSE(deploys[1].took());
  CHECK_FALSE(deploys[2].took());
  CHECK_FALSE(deploys[3].took());
}

TEST_CASE("lines that make no sense are passed over") {
  const auto deploys =
      deploys_of({"", "garbage", "[1, 2]", "\"swap-intended\"", "null", R"({"event":"swap-intended"})",
                  R"({"event":"swap-intended","deploy":-1})", R"({"event":"swap-intended","deploy":"7"})",
                  R"({"event":7,"deploy":1})", std::string("\xff\x00\xfe", 3),
                  line("swap-intended", 1, "prepared", 1, "b1", R"("by":7,"forced":"yes",)"), "garbage",
                  line("swapped", 2, "swapped", 2), line("unheard-of", 2, "swapped", 3),
                  line("good", 2, "idle", 4), line("rolled-back", 2, "idle", 5)});
  REQUIRE(deploys.size() == 2);
  CHECK(deploys[0].outcome == "interrupted"); // another one has begun
  CHECK_FALSE(deploys[0].by.is_known());
  CHECK_FALSE(deploys[0].forced);
  CHECK(deploys[1].number == 2); // its first line is lost
  CHECK(events(deploys[1]) == Words{"swapped", "good"});
}

TEST_CASE("a uid that is none is not believed") {
  for (const char* uid : {"-1", "1.5", "\"0\"", "99999999999", "null"}) {
    const auto deploys = deploys_of({line("swap-intended", 1, "prepared", 1, "b1",
                                          fmt::format(R"("by":{{"uid":{},"user":"root"}},)", uid))});
    REQUIRE(deploys.size() == 1);
    CHECK_FALSE(deploys[0].by.is_known());
  }
}

TEST_CASE("the last deploys are found from the end of a long file") {
  const Scratch scratch;
  std::string text;
  for (unsigned i = 1; i <= 3000; ++i) {
    text += line("swap-intended", i, "prepared", i) + "\n" + line("swapped", i, "swapped", i) + "\n";
    text += "torn {\n" + line("good", i, "idle", i) + "\n";
  }
  scratch.write("app/history.jsonl", text + R"({"event":"swap-int)");
  const auto last = [&](std::size_t most, const std::string& since = "") {
    return last_deploys(scratch.path(), "app", most, since).value();
  };
  CHECK(last(0).empty());
  for (const std::size_t most : {1U, 10U, 200U, 2999U, 3000U}) {
    const auto deploys = last(most);
    REQUIRE(deploys.size() == most);
    CHECK(deploys.back().number == 3000);
    CHECK(deploys.front().number == 3001 - most);
    CHECK(events(deploys.front()) == Words{"swap-intended", "swapped", "good"});
  }
  CHECK(last(5000).size() == 3000);
  CHECK(last(5000, "2026-11-28T10:49:59.000Z").size() > 0);
  CHECK(last(2, "2026-11-28T10:49:59.000Z").size() == 2);
  CHECK(last(5000, "2026-11-29").empty());
  CHECK(last_deploys(scratch.path(), "other", 10).value().empty());
}

TEST_CASE("a history that is no file is an error") {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "app/history.jsonl");
  CHECK(last_deploys(scratch.path(), "app", 10).error().outcome() == Outcome::no);
}
