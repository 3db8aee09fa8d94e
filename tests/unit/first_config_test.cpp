#include "first_config.hpp"

#include "catch.hpp"

#include <array>
#include <regex>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

AppFacts demo() {
  AppFacts facts;
  facts.app = "demo";
  facts.unit = "demo-production.service";
  facts.layout = {"/srv/demo/current", "/srv/demo/releases", "1", "", {"bin/server", "package.json"}};
  facts.listen = "127.0.0.1:8080";
  facts.url = "http://127.0.0.1:8080/health?full=1";
  facts.timeout_start = 90s;
  return facts;
}

Config parsed(const std::string& text) {
  const std::array files{IniFile{"demo.conf", text}};
  auto config = parse_config("demo", files);
  if (!config) UNSCOPED_INFO(config.error().text());
  REQUIRE(config);
  return *std::move(config);
}

// With what is commented out as well, but the sentences.
std::string uncommented(const std::string& text) {
  return std::regex_replace(text, std::regex("(^|\n);([a-z[])"), "$1$2");
}

} // namespace

TEST_CASE("a configuration that is written says what is known") {
  const auto text = first_config(demo());
  REQUIRE(text);
  const Config config = parsed(*text);
  CHECK(config.unit == "demo-production.service");
  CHECK(config.link == "/srv/demo/current");
  CHECK(config.releases == "/srv/demo/releases");
  CHECK(config.pattern == "*");
  CHECK(config.require == std::vector<std::string>{"bin/server", "package.json"});
  CHECK(config.listen == "127.0.0.1:8080");
  CHECK(config.health_timeout == 60s);
  CHECK(config.free_timeout == 30s);
  REQUIRE(config.checks.size() == 1);
  const CheckSection& check = config.checks.front();
  CHECK(check.kind == "http");
  CHECK(check.settings.front().value == "http://127.0.0.1:8080/health?full=1");
  CHECK((check.health && check.watch && check.monitor && !check.preflight));
}

TEST_CASE("what is commented out is right, and is the default where there is one") {
  const auto text = first_config(demo());
  REQUIRE(text);
  const Config plain = parsed(*text);
  const Config config = parsed(uncommented(*text));
  CHECK(config.pattern == plain.pattern);
  CHECK(config.keep == plain.keep);
  CHECK(config.free_timeout == plain.free_timeout);
  CHECK(config.health_interval == plain.health_interval);
  CHECK(config.watch_duration == plain.watch_duration);
  CHECK(config.disk_used_max == plain.disk_used_max);
  CHECK(config.memory_available_min == plain.memory_available_min);
  CHECK(config.checks.front().settings.size() == 4); // and two filters

  AppFacts silent = demo();
  silent.url.clear();
  silent.layout.require.clear();
  const auto without = first_config(silent);
  REQUIRE(without);
  CHECK(parsed(*without).checks.empty());
  CHECK(parsed(*without).require.empty());
  CHECK(parsed(uncommented(*without)).checks.size() == 1);
}

TEST_CASE("the times of a configuration fit into the unit's") {
  AppFacts facts = demo();
  facts.timeout_start = 10s;
  Config config = parsed(*first_config(facts));
  CHECK(config.health_timeout == 10s);
  CHECK(config.free_timeout == 5s);
  facts.timeout_start = 1500ms;
  config = parsed(*first_config(facts));
  CHECK(config.health_timeout == 1500ms);
  CHECK(config.free_timeout == 750ms);
  facts.timeout_start = without_limit;
  CHECK(parsed(*first_config(facts)).health_timeout == 60s);
}

TEST_CASE("long values are written in several lines") {
  AppFacts facts = demo();
  facts.url = "http://127.0.0.1:8080/" + std::string(700, 'x') + "?a=1";
  facts.layout.link = "/srv/" + std::string(200, 'y') + "/current";
  facts.layout.require = {std::string(100, 'a'), std::string(100, 'b')};
  const auto text = first_config(facts);
  REQUIRE(text);
  const Config config = parsed(*text);
  CHECK(config.checks.front().settings.front().value == facts.url);
  CHECK(config.link == facts.layout.link);
  CHECK(config.require == facts.layout.require);
}

TEST_CASE("a value that would be read as something else is refused") {
  AppFacts facts = demo();
  facts.layout.releases = "/srv/a ;b";
  CHECK_FALSE(first_config(facts));
  facts = demo();
  facts.layout.link = "/srv/a\nb/current";
  CHECK_FALSE(first_config(facts));
  facts = demo();
  facts.layout.require = {"a,b"};
  const auto refused = first_config(facts);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().outcome() == Outcome::no);
  CHECK(refused.error().text().find("by hand") != std::string::npos);
}
