#include "catch.hpp"
#include "checks/make.hpp"
#include "checks/unit_memory_check.hpp"
#include "unit_like.hpp"

#include <fstream>
#include <sstream>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mega = 1UL << 20U;

Answer judged(const UnitMemoryLimits& limits, std::uint64_t now, std::uint64_t first, bool by_kernel = true) {
  return UnitMemoryCheck::judge("demo.service", limits, {now, by_kernel},
                                UnitMemoryCheck::Measured{first, by_kernel}, 2min);
}

Result<std::shared_ptr<Check>> made(std::vector<Setting> settings) {
  CheckSection section;
  section.kind = "unit-memory";
  section.settings = {{"unit-memory", "demo.service", {"demo.conf", 3}}};
  section.settings.insert(section.settings.end(), settings.begin(), settings.end());
  return make_check(section, {.app = "demo"});
}

} // namespace

TEST_CASE("a unit may have so much memory") {
  const UnitMemoryLimits limits{.max = 100 * mega, .growth_max = {}};
  const Answer well = judged(limits, 100 * mega, 0);
  CHECK(well.verdict == Verdict::yes);
  CHECK(well.sentence == "demo.service has 100M of memory, at most 100M allowed");
  CHECK(well.figures.at(0).value == 100.0 * mega);
  const Answer high = judged(limits, 101 * mega, 101 * mega, false);
  CHECK(high.verdict == Verdict::no);
  CHECK(high.reason == "high");
  CHECK(high.sentence ==
        "demo.service has 101M of memory (the sum of its processes' PSS), at most 100M allowed");
}

TEST_CASE("a unit may grow by so much") {
  const UnitMemoryLimits limits{.max = {}, .growth_max = 10 * mega};
  CHECK(judged(limits, 20 * mega, 10 * mega).verdict == Verdict::yes);
  const Answer grown = judged(limits, 21 * mega, 10 * mega);
  CHECK(grown.verdict == Verdict::no);
  CHECK(grown.reason == "growth");
  CHECK(grown.sentence == "demo.service has 21M of memory; 11M more than 2m ago, at most 10M more allowed");
  const Answer shrunk = judged(limits, mega, 10 * mega);
  CHECK(shrunk.verdict == Verdict::yes);
  CHECK(shrunk.figures.at(1).value == 0);
}

TEST_CASE("the proportional set size is read as the kernel writes it") {
  std::stringstream own;
  own << std::ifstream("/proc/self/smaps_rollup").rdbuf();
  const auto bytes = proportional_set_size(own.str());
  REQUIRE(bytes);
  CHECK(*bytes > 64 * 1024);
  CHECK(proportional_set_size("55e2f5a1b000-7ffd [rollup]\nRss:  900 kB\nPss:  12 kB\nPss_Dirty: 1 kB\n") ==
        12 * 1024);
  CHECK_FALSE(proportional_set_size("Rss: 900 kB\nPss_Dirty: 1 kB\n"));
  CHECK_FALSE(proportional_set_size("x\nPss: much\n"));
  CHECK_FALSE(proportional_set_size(""));
}

TEST_CASE("what systemd measures is taken as it is") {
  UnitState unit;
  unit.memory_current = 42;
  const auto measured = measure_memory(unit, Deadline::never());
  REQUIRE(measured);
  CHECK(measured->bytes == 42);
  CHECK(measured->by_kernel);
}

TEST_CASE("without a measure a unit has what its processes have, or it is told why not") {
  const std::string name = unit_name();
  const Server server(name, {});
  UnitState unit;
  unit.name = name;
  unit.control_group = "/" + name;
  const auto measured = measure_memory(unit, Deadline::never());
  if (server.listens()) { // a cgroup of its own could be made
    REQUIRE(measured);
    CHECK_FALSE(measured->by_kernel);
    CHECK(measured->bytes > 0);
  } else {
    REQUIRE_FALSE(measured);
    CHECK(measured.error().text().find("systemd does not measure its memory here, and ") !=
          std::string::npos);
  }
  unit.control_group = "/" + name + "-gone";
  CHECK_FALSE(measure_memory(unit, Deadline::never()));
}

TEST_CASE("a memory check without a limit is an error of the configuration") {
  CHECK(made({{"max", "100M", {}}}));
  CHECK(made({{"growth-max", "100M", {}}}));
  const auto none = made({});
  REQUIRE_FALSE(none);
  CHECK(none.error().outcome() == Outcome::bad_config);
  CHECK(none.error().text() == "demo.conf:3: unit-memory: has no limit: max or growth-max is needed");
}

TEST_CASE("at the first ask nothing is known of the growth") {
  const Answer first =
      UnitMemoryCheck::judge("demo.service", {.max = {}, .growth_max = mega}, {5 * mega}, std::nullopt, 0s);
  CHECK(first.verdict == Verdict::skipped);
  CHECK(first.reason == "no-earlier");
  CHECK(first.sentence ==
        "demo.service has 5M of memory; how much it grows is not known yet: there is no "
        "earlier measure to compare with");
  CHECK(first.figures.size() == 1);
  const UnitMemoryLimits both{.max = 4 * mega, .growth_max = mega};
  CHECK(UnitMemoryCheck::judge("demo.service", both, {4 * mega}, std::nullopt, 0s).verdict == Verdict::yes);
  CHECK(UnitMemoryCheck::judge("demo.service", both, {5 * mega}, std::nullopt, 0s).reason == "high");
}
