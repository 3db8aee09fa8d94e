#include "regex.hpp"

#include "catch.hpp"
#include "checks/status_ranges.hpp"

using namespace safe_deploy;

TEST_CASE("an expression is found anywhere in any bytes") {
  const auto regex = Regex::compile("he(a|i)lth.$");
  REQUIRE(regex);
  CHECK(regex->found_in("good health!"));
  CHECK_FALSE(regex->found_in("health"));
  CHECK(Regex::compile("b")->found_in(std::string_view("a\0b", 3)));
  CHECK_FALSE(Regex::compile("b")->found_in(std::string_view("a\0b", 2)));
  CHECK(Regex::compile("^$")->found_in(""));
}

TEST_CASE("what is no expression is a usage error") {
  for (const std::string_view text :
       {std::string_view("("), std::string_view("[a"), std::string_view("a{2,1}"), std::string_view("(a)\\1"),
        std::string_view("a\0b", 3)}) {
    INFO(text);
    const auto regex = Regex::compile(text);
    REQUIRE_FALSE(regex);
    CHECK(regex.error().outcome() == Outcome::usage);
  }
  CHECK(Regex::compile("\\\\1")); // a backslash and a 1
}

TEST_CASE("bounds that multiply to gigabytes are refused") {
  for (const char* text : {"((a{255}){255}){255}", "(((((a|b){1,99}){99}){99}){99}){99}",
                           "(([[:alpha:]]]{200}x){200}){2,}{9}", "((\\({250}){250})", "([]a{]{255}){255}"}) {
    INFO(text);
    const auto regex = Regex::compile(text);
    REQUIRE_FALSE(regex);
    CHECK(regex.error().text().find("multiply to too many") != std::string::npos);
  }
  for (const char* text :
       {"([0-9]{1,3}\\.){3}[0-9]{1,3}", "[({]{255}[)}]{255}", "a\\{{255}", "(a{100}){100}", "[[.{.]]{9}"}) {
    INFO(text);
    CHECK(Regex::compile(text));
  }
}

TEST_CASE("no text makes an expression take for ever") {
  const auto regex = Regex::compile("^(a+)+(b|a)*c$"); // exponential for an engine that backtracks
  REQUIRE(regex);
  CHECK_FALSE(regex->found_in(std::string(100'000, 'a')));
}

TEST_CASE("status codes are welcome in ranges") {
  const auto ranges = StatusRanges::parse("200-299, 404");
  REQUIRE(ranges);
  CHECK(ranges->contain(200));
  CHECK(ranges->contain(299));
  CHECK(ranges->contain(404));
  CHECK_FALSE(ranges->contain(300));
  CHECK_FALSE(ranges->contain(403));
  CHECK(ranges->text() == "200-299, 404");
  CHECK(StatusRanges::success().contain(204));
  CHECK_FALSE(StatusRanges::success().contain(302));
  for (const char* text : {"", "2xx", "99", "600", "299-200", "200-", "-200", "200,,404", "200 404"}) {
    INFO(text);
    CHECK_FALSE(StatusRanges::parse(text));
  }
}
