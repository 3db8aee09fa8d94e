#include "catch.hpp"
#include "checks/load_check.hpp"
#include "checks/make.hpp"
#include "scratch.hpp"

#include <unistd.h>

using namespace safe_deploy;

namespace {

Answer ask_with(const std::string& loadavg, double most, std::size_t average = 0) {
  const Scratch scratch;
  scratch.write("loadavg", loadavg);
  return LoadCheck(most, average, scratch / "loadavg").ask(Deadline::never());
}

} // namespace

TEST_CASE("the averages are read as the kernel writes them") {
  const std::string_view text = "0.20 1.18 12.00 1/80 11206\n";
  CHECK(load_average(text, 0) == 0.2);
  CHECK(load_average(text, 1) == 1.18);
  CHECK(load_average(text, 2) == 12);
}

TEST_CASE("what is no load average is none") {
  for (const char* text :
       {"", " ", "0.2", "0.20 0.1", "0.20 0.18 0.1", "nan nan nan 1/1 1", "inf 1 1 1/1 1", "-1 -1 -1 1/1 1",
        "1e9 1 1 1/1 1", "99999999999999999999.00 1 1 1/1 1", "x", "0x1 1 1 1/1 1"}) {
    INFO(text);
    CHECK_FALSE((load_average(text, 0) && load_average(text, 2)));
  }
}

TEST_CASE("the load is judged for each CPU") {
  const auto cpus = static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  const std::string busy = std::to_string(static_cast<int>(4 * cpus)) + ".00 0.10 0.10 1/80 11206\n";
  const Answer high = ask_with(busy, 3.5);
  CHECK(high.verdict == Verdict::no);
  CHECK(high.reason == "load");
  CHECK(high.sentence.find(" in the last 1m, 4 for each of ") != std::string::npos);
  CHECK(high.sentence.find(", at most 3.5 allowed") != std::string::npos);
  REQUIRE(high.figures.size() == 2);
  CHECK(high.figures[0].name == "load");
  CHECK(high.figures[0].value == 4 * cpus);
  CHECK(high.figures[1].name == "load-per-cpu");
  CHECK(high.figures[1].value == 4);
  CHECK(ask_with(busy, 4).verdict == Verdict::yes);
  CHECK(ask_with(busy, 3.5, 1).verdict == Verdict::yes);
}

TEST_CASE("a load that the kernel does not tell is skipped") {
  CHECK(ask_with("nonsense", 1).verdict == Verdict::skipped);
  CHECK(ask_with(std::string(100'000, '1'), 1).verdict == Verdict::skipped);
  const Answer gone = LoadCheck(1, 0, "/nonexistent/loadavg").ask(Deadline::never());
  CHECK(gone.verdict == Verdict::skipped);
  CHECK(gone.reason == "unreadable");
}

TEST_CASE("a load check of a configuration asks this machine") {
  CheckSection section;
  section.kind = "load";
  section.settings = {{"load", "10000", {}}};
  const auto check = make_check(section, {.app = "demo"});
  REQUIRE(check);
  const Answer answer = (*check)->ask(Deadline::never());
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence.find(" in the last 1m, ") != std::string::npos);
}
