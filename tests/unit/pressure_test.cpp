#include "catch.hpp"
#include "checks/make.hpp"
#include "checks/pressure_check.hpp"
#include "scratch.hpp"

#include <filesystem>

using namespace safe_deploy;

namespace {

constexpr std::size_t memory = 1;
constexpr std::size_t io = 2;
constexpr std::size_t some = 0;
constexpr std::size_t full = 1;

constexpr const char* busy =
    "some avg10=81.75 avg60=60.40 avg300=67.02 total=1243655792\n"
    "full avg10=1.50 avg60=0.00 avg300=0.25 total=17\n";

Answer ask_with(const std::string& text, PressureQuestion question) {
  const Scratch scratch;
  scratch.write("memory", text);
  question.resource = memory;
  return PressureCheck(question, scratch.path()).ask(Deadline::never());
}

Result<std::shared_ptr<Check>> made(std::vector<Setting> settings) {
  CheckSection section;
  section.kind = "pressure";
  section.settings = std::move(settings);
  section.place = {"demo.conf", 3};
  return make_check(section, {.app = "demo"});
}

} // namespace

TEST_CASE("pressure is read as the kernel writes it") {
  CHECK(pressure(busy, some, 0) == 81.75);
  CHECK(pressure(busy, some, 1) == 60.4);
  CHECK(pressure(busy, some, 2) == 67.02);
  CHECK(pressure(busy, full, 0) == 1.5);
  CHECK(pressure(busy, full, 2) == 0.25);
  // Before Linux 5.13 there is no second line for cpu.
  CHECK_FALSE(pressure("some avg10=1.00 avg60=0.00 avg300=0.00 total=0\n", full, 0));
}

TEST_CASE("what is no pressure is none") {
  for (const char* text : {"",
                           "\n",
                           "some",
                           "some ",
                           "some avg10",
                           "some avg10=",
                           "some avg10=\n",
                           "some avg10=nan avg60=0.00\n",
                           "some avg10=-1.00\n",
                           "some avg10=inf\n",
                           "some avg10=100.01\n",
                           "some avg10=99999999999999999999\n",
                           "some avg10=1e1\n",
                           "some avg10=0x1\n",
                           "some avg10=1.0.0\n",
                           "somebody avg10=1.00\n",
                           "avg10=1.00\n",
                           "some avg100=1.00\n",
                           "some xavg10=1.00\n",
                           "full avg10=1.00 avg60=0.00\n",
                           "\0some avg10=1.00"}) {
    INFO(text);
    CHECK_FALSE(pressure(text, some, 0));
  }
}

TEST_CASE("pressure is judged by the share and the time that are asked for") {
  const Answer high = ask_with(busy, {.max = 80});
  CHECK(high.verdict == Verdict::no);
  CHECK(high.reason == "pressure");
  CHECK(high.sentence == "memory: some tasks had to wait for 81.75% of the last 10s, at most 80% allowed");
  REQUIRE(high.figures.size() == 1);
  CHECK(high.figures[0].name == "pressure");
  CHECK(high.figures[0].unit == "%");
  CHECK(high.figures[0].value == 81.75);
  CHECK(ask_with(busy, {.max = 80, .average = 1}).verdict == Verdict::yes);
  const Answer low = ask_with(busy, {.max = 0.25, .average = 2, .share = full});
  CHECK(low.verdict == Verdict::yes);
  CHECK(low.sentence == "memory: all tasks had to wait for 0.25% of the last 300s, at most 0.25% allowed");
}

TEST_CASE("pressure that the kernel does not tell is skipped, with the reason") {
  const Scratch scratch;
  const Answer gone = PressureCheck({.resource = io, .max = 1}, scratch.path()).ask(Deadline::never());
  CHECK(gone.verdict == Verdict::skipped);
  CHECK(gone.reason == "unsupported");
  CHECK(gone.sentence.find(scratch / "io" + ": this kernel tells no pressure") == 0);

  for (const std::string& text : {std::string(), std::string("nonsense\n"), std::string(100'000, 'x')}) {
    const Answer answer = ask_with(text, {.max = 1});
    CHECK(answer.verdict == Verdict::skipped);
    CHECK(answer.reason == "unreadable");
  }
}

TEST_CASE("a pressure check of a configuration asks this machine") {
  const auto check = made({{"pressure", "cpu", {}}, {"max", "100%", {}}});
  REQUIRE(check);
  const Answer answer = (*check)->ask(Deadline::never());
  if (!std::filesystem::exists("/proc/pressure/cpu")) {
    CHECK(answer.verdict == Verdict::skipped);
    return;
  }
  CHECK(answer.good() == (answer.reason == "ok"));
  if (answer.good()) CHECK(answer.sentence.find("cpu: some tasks had to wait for ") == 0);
  if (answer.good())
    CHECK(answer.sentence.find("% of the last 10s, at most 100% allowed") != std::string::npos);
}

TEST_CASE("a pressure check that could never say no, or has no limit, is a wrong configuration") {
  const auto without_limit_given = made({{"pressure", "io", {"demo.conf", 4}}});
  REQUIRE_FALSE(without_limit_given);
  CHECK(without_limit_given.error().outcome() == Outcome::bad_config);
  CHECK(without_limit_given.error().text() == "demo.conf:4: pressure: needs max, such as max = 40%");
  const auto full_of_cpu =
      made({{"pressure", "cpu", {"demo.conf", 4}}, {"max", "1%", {}}, {"share", "full", {"demo.conf", 6}}});
  REQUIRE_FALSE(full_of_cpu);
  CHECK(full_of_cpu.error().outcome() == Outcome::bad_config);
  CHECK(full_of_cpu.error().text().find("demo.conf:6: share: ") == 0);
  CHECK(made({{"pressure", "memory", {}}, {"max", "1%", {}}, {"share", "full", {}}}));
}
