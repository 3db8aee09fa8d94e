#include "catch.hpp"
#include "checks/asked_apart.hpp"
#include "checks/context.hpp"
#include "checks/disk_check.hpp"
#include "checks/health_now_check.hpp"
#include "checks/make.hpp"
#include "checks/memory_check.hpp"
#include "checks/releases_check.hpp"
#include "checks/restarts_check.hpp"
#include "checks/standard.hpp"
#include "checks/standard_names.hpp"
#include "dead_file_system.hpp"
#include "scratch.hpp"

#include <filesystem>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

namespace {

UnitState unit_with(std::uint32_t restarts, Duration running_for) {
  UnitState unit;
  unit.name = "demo.service";
  unit.load_state = "loaded";
  unit.result = "success";
  unit.restarts = restarts;
  unit.start_limit_burst = 3;
  unit.start_limit_interval = 5min;
  unit.inactive_exit = Clock::time_point(1h) - running_for;
  return unit;
}

Answer judged(const UnitState& unit) {
  return RestartsCheck::judge(unit, Clock::time_point(1h));
}

// An app with releases of its own, for one test.
struct Demo {
  Scratch scratch;
  Config config;

  Demo() {
    config.app = "demo";
    config.unit = "demo.service";
    config.file = "demo.conf";
    config.link = scratch / "current";
    config.releases = scratch / "releases";
    config.require = {"bin/server"};
    std::filesystem::create_directories(config.releases);
  }

  void release(const std::string& name) const { scratch.write("releases/" + name + "/bin/server", ""); }
  void current(const std::string& name) const {
    std::filesystem::create_symlink("releases/" + name, config.link);
  }
  [[nodiscard]] Answer ask() const {
    return ReleasesCheck(config, {scratch / "state", scratch / "run"}).ask(Deadline::never());
  }
};

} // namespace

TEST_CASE("a unit that was not restarted lately has its starts left") {
  const Answer answer = judged(unit_with(0, 10min));
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == "demo.service: 0 automatic restarts, at most 3 starts in 5m are allowed");
  CHECK(answer.figures[0].value == 0);
  CHECK(judged(unit_with(7, 10min)).verdict == Verdict::yes); // long ago
}

TEST_CASE("a unit that has used up its starts is refused, with the remedy") {
  const Answer answer = judged(unit_with(2, 1min));
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "start-limit");
  CHECK(answer.sentence.find("'systemctl reset-failed demo.service'") != std::string::npos);
  CHECK(judged(unit_with(1, 1min)).verdict == Verdict::yes);

  UnitState hit = unit_with(0, 10min);
  hit.result = "start-limit-hit";
  CHECK(judged(hit).verdict == Verdict::no);
  CHECK(judged(hit).sentence.find("'systemctl reset-failed demo.service'") != std::string::npos);
}

TEST_CASE("a loop of restarts is a warning, and no limit is none") {
  UnitState unit = unit_with(40, 1s);
  unit.start_limit_burst = 0;
  CHECK(judged(unit).verdict == Verdict::yes);
  CHECK(judged(unit).sentence == "demo.service has no limit on its starts");
  for (const char* waiting : {"auto-restart", "auto-restart-queued"}) {
    unit.sub_state = waiting;
    CHECK(judged(unit).verdict == Verdict::warning);
    CHECK(judged(unit).reason == "restarts");
  }
}

TEST_CASE("available memory is read as the kernel writes it") {
  CHECK(memory_available("MemTotal:  16 kB\nMemAvailable:    1024 kB\n") == 1024 * 1024);
  CHECK_FALSE(memory_available("MemTotal: 16 kB\n"));
  CHECK_FALSE(memory_available("MemAvailable: much\n"));
  CHECK_FALSE(memory_available(""));
  CHECK(MemoryCheck(1).ask(Deadline::never()).verdict == Verdict::yes);
  const Answer low = MemoryCheck(UINT64_MAX).ask(Deadline::never());
  CHECK(low.verdict == Verdict::no);
  CHECK(low.reason == "low");
}

TEST_CASE("a newer release that is complete can be deployed") {
  const Demo demo;
  demo.release("v1");
  demo.release("v2");
  demo.current("v1");
  const Answer answer = demo.ask();
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == "v2 is next, v1 is current");
}

TEST_CASE("no release to deploy is refused, with the directory") {
  const Demo demo;
  Answer answer = demo.ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "none");
  CHECK(answer.sentence.find(demo.config.releases) != std::string::npos);
  CHECK(answer.sentence.find("no release to deploy") != std::string::npos);

  demo.scratch.write("releases/v1/other", "");
  answer = demo.ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.sentence.find("lacks bin/server") != std::string::npos);
}

TEST_CASE("a deploy that would change nothing is a warning") {
  const Demo demo;
  demo.release("v1");
  demo.current("v1");
  const Answer answer = demo.ask();
  CHECK(answer.verdict == Verdict::warning);
  CHECK(answer.reason == "nothing-new");
}

TEST_CASE("what is amiss with directory and link is told") {
  Demo demo;
  demo.release("v1");
  std::filesystem::create_directory(demo.config.link);
  CHECK(demo.ask().reason == "link");
  demo.config.releases += "-gone";
  CHECK(demo.ask().reason == "releases");
  demo.config.link.clear();
  CHECK(demo.ask().reason == "config");
  CHECK(demo.ask().verdict == Verdict::no);
}

TEST_CASE("the standard checks are those of the manual, in its order") {
  const Demo demo;
  const auto checks =
      standard_checks(demo.config, {demo.scratch / "state", demo.scratch / "run"}, {.app = "demo"});
  REQUIRE(checks);
  std::string names;
  for (const auto& check : *checks) names += check.asked.name + " ";
  CHECK(names == "unit restarts port disk memory health releases unit-file start-timeout rollback ");
  std::string reserved;
  for (const auto& name : standard_check_names) reserved.append(name).append(" ");
  CHECK(names == reserved);
  for (const auto& check : *checks) CHECK_FALSE(check.description.empty());
}

TEST_CASE("a check that has no value for ${release} is skipped, with the reason") {
  Demo demo;
  CheckSection section;
  section.name = "version";
  section.kind = "http";
  section.preflight = true;
  section.settings = {{"http", "http://127.0.0.1:1/${release}", {"demo.conf", 7}}};
  demo.config.checks = {section};
  const auto checks = configured_checks(demo.config, When::preflight, {.app = "demo"});
  REQUIRE(checks);
  REQUIRE(checks->size() == 1);
  const Answer answer = checks->front().asked.check->ask(Deadline::never());
  CHECK(answer.verdict == Verdict::skipped);
  CHECK(answer.sentence.find("demo.conf:7: http: ${release}") == 0);
  CHECK(configured_checks(demo.config, When::monitor, {.app = "demo"})->empty());
}

TEST_CASE("the release is what the link names, and why it is not known is told") {
  Demo demo;
  const auto context = [&] { return make_context(demo.config, ""); };
  CHECK(context().release.empty());
  CHECK(context().release_unknown.empty()); // nothing is deployed yet
  demo.release("v1");
  demo.current("v1");
  CHECK(context().release == "v1");
  CHECK(context().release_unknown.empty());

  std::filesystem::remove(demo.config.link);
  std::filesystem::create_directory(demo.config.link);
  CHECK(context().release.empty());
  CHECK(context().release_unknown == demo.config.link + ": is a directory, not a symlink");
  demo.config.releases = demo.scratch / "gone";
  CHECK(context().release_unknown.empty());
  demo.config.releases.clear();
  CHECK(context().release_unknown.empty());
}

TEST_CASE("a check without a release says whether there is none or it is not known") {
  Demo demo;
  CheckSection section;
  section.name = "version";
  section.kind = "http";
  section.health = true;
  section.settings = {{"http", "http://127.0.0.1:1/${release}", {"demo.conf", 7}}};
  demo.config.checks = {section};
  const auto answer = [&](const std::string& unknown) {
    const auto checks =
        configured_checks(demo.config, When::health, {.app = "demo", .release_unknown = unknown});
    REQUIRE(checks);
    return checks->front().asked.check->ask(Deadline::never());
  };
  CHECK(answer("").final);
  CHECK(answer("").sentence.find("no release is deployed") != std::string::npos);
  CHECK_FALSE(answer("it hangs").final); // a wait must not take that for the first start
  CHECK(answer("it hangs").sentence.find("demo.conf:7: http: ${release}: it hangs") == 0);
}

TEST_CASE("a dead file system of the releases holds nobody") {
  std::string unknown;
  std::vector<Asking> answers;
  Duration took{};
  std::string place;
  const std::string problem = with_dead_file_system([&](DeadFileSystem& dead) {
    Demo demo;
    demo.config.releases = dead.path();
    place = dead.path();
    const auto begin = Clock::now();
    const CheckContext context = make_context(demo.config, "");
    unknown = context.release_unknown;
    const auto checks = standard_checks(demo.config, {demo.scratch / "state", demo.scratch / "run"}, context);
    std::vector<Asked> asked;
    if (checks)
      for (const auto& check : *checks)
        if (check.asked.name == "releases" || check.asked.name == "rollback") {
          asked.push_back(check.asked);
          asked.back().attempt_timeout = 1s;
        }
    answers = ask_once(asked, Deadline::never());
    took = std::chrono::duration_cast<Duration>(Clock::now() - begin);
    dead.abort();
  });
  if (!problem.empty()) {
    WARN("cannot be tested here: " << problem);
    SUCCEED();
    return;
  }
  CHECK(took < 20s);
  CHECK(unknown == place + ": does not answer within 5s");
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].answer.verdict == Verdict::no);
  CHECK(answers[1].answer.verdict == Verdict::warning);
  for (const auto& asking : answers) {
    CHECK(asking.answer.reason == "timeout");
    CHECK(asking.answer.sentence == place + ": does not answer within 1s");
  }
}

TEST_CASE("an answer is the same whoever was asked") {
  const Demo demo;
  demo.release("v1");
  demo.release("v2");
  demo.current("v1");
  AskedApart apart(
      std::make_shared<ReleasesCheck>(demo.config, Places{demo.scratch / "state", demo.scratch / "run"}),
      demo.config.releases);
  const Answer here = demo.ask();
  const Answer there = apart.ask(Deadline::after(20s));
  CHECK(there.verdict == here.verdict);
  CHECK(there.sentence == here.sentence);
  CHECK(to_bytes(there) == to_bytes(here));
  REQUIRE(there.figures.size() == 1);
  CHECK(there.figures[0].name == "releases");
  CHECK(there.figures[0].value == 2);

  const Answer all{Verdict::warning, "word", "a\n", {{"a", 1.5, "s"}, {"", -1, ""}}, false, true};
  const Answer back = answer_of_bytes(to_bytes(all));
  CHECK(back.verdict == Verdict::warning);
  CHECK(back.reason == "word");
  CHECK(back.sentence == "a\n");
  CHECK_FALSE(back.counts);
  CHECK(back.final);
  REQUIRE(back.figures.size() == 2);
  CHECK(back.figures[0].unit == "s");
  CHECK(back.figures[1].value == -1);
}

TEST_CASE("the phases have names") {
  CHECK(parse_when("watch") == When::watch);
  CHECK_FALSE(parse_when("lunch"));
}

TEST_CASE("without systemd its checks are skipped") {
  auto units = std::make_shared<Units>();
  if (units->state("demo.service")) return; // there is one here
  CHECK(RestartsCheck("demo.service", units).ask(Deadline::never()).verdict == Verdict::skipped);
  const auto disk = std::make_shared<DiskCheck>("/", 100);
  CHECK(HealthNowCheck("demo.service", {{.name = "disk", .check = disk}}, units)
            .ask(Deadline::never())
            .verdict == Verdict::skipped);
}
