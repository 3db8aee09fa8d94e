#include "regex.hpp"

#include "catch.hpp"
#include "checks/status_ranges.hpp"

#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <string>

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

TEST_CASE("what regcomp takes long for is refused, and what people write is not") {
  const auto repeat = [](const std::string& text, int times) {
    std::string all;
    while (times-- > 0) all += text;
    return all;
  };
  const auto nested = [&](const std::string& behind, int depth) {
    return repeat("(", depth) + "a" + repeat(behind + ")", depth);
  };
  for (const std::string& text :
       {nested("*", 150) + nested("?", 150) + nested("*b*", 100), nested("*", 10'000), nested("+", 30),
        nested("", 100'000), repeat("(", 100'000), std::string("(a?){5000}"), std::string("((a?){60}){60}"),
        std::string("a{0,30000}"), "((" + repeat("x?", 30) + ")*){30}", repeat("a|", 10'000) + "a",
        "(" + repeat("a|", 3000) + "a)*"}) {
    INFO(text.substr(0, 60));
    const auto start = std::chrono::steady_clock::now();
    const auto regex = Regex::compile(text);
    REQUIRE_FALSE(regex);
    CHECK(regex.error().text().size() < 250);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  }
  for (const std::string& text : {std::string("^(ok|healthy|up)( [0-9]+)?$"), nested("*", 20), nested("+", 6),
                                  repeat("word|", 300) + "x", repeat("a", 5000), std::string("(a?){100}"),
                                  std::string("([0-9a-f]{8}-?)+"), std::string("a)|(b)")}) {
    INFO(text.substr(0, 60));
    CHECK(Regex::compile(text));
  }
}

TEST_CASE("a match is found wherever it begins") {
  const auto found = [](const char* pattern, std::string_view text) {
    return Regex::compile(pattern)->found_in(text);
  };
  CHECK(found("^b", "b"));
  CHECK_FALSE(found("^b", "ab"));
  CHECK_FALSE(found("^b", "a\nb"));
  CHECK_FALSE(found("b$", "b\nc"));
  CHECK_FALSE(found("x|(^b)", "a\nb"));
  CHECK(found("a|^b", "xa"));
  CHECK(found("\\bword\\b", "a word."));
  CHECK_FALSE(found("\\bword\\b", "a sword."));
  CHECK(found("x|y$", "\xff\xfe\ny"));
  CHECK(found("a)", "(a)"));
  CHECK_FALSE(found("a)", "(a"));
  CHECK(found("", ""));
  CHECK(found("b$", std::string_view("a\0\nb", 4)));
}

TEST_CASE("no text makes an expression take for ever") {
  const std::string mega(1'000'000, 'a');
  for (const char* pattern : {"^(a+)+(b|a)*c$", "(.*a){20}c", "a.*c", "(a*)*(a*)*b$", "(a?){100}c"}) {
    INFO(pattern);
    const auto regex = Regex::compile(pattern);
    REQUIRE(regex);
    const auto found = regex->found_in(mega, Deadline::after(std::chrono::seconds(60)));
    REQUIRE(found);
    CHECK_FALSE(*found);
    CHECK(regex->found_in(mega + "c", Deadline::after(std::chrono::seconds(60))).value() ==
          (std::string_view(pattern).find('c') != std::string_view::npos));
  }
}

namespace {

// Where each "a" may begin the match that fails at the end: one state for each of their sets.
std::string many_sets(std::size_t size) {
  std::string text;
  std::uint32_t random = 1;
  while (text.size() < size) text += ((random = random * 1664525 + 1013904223) >> 30U & 1U) != 0 ? 'a' : 'b';
  return text;
}

} // namespace

TEST_CASE("an expression that would take too long is given up, and told with the time that it had") {
  const auto regex = Regex::compile("(a|b)*a(a|b){100}c");
  REQUIRE(regex);
  const auto start = Clock::now();
  const auto late = regex->found_in(many_sets(1'000'000), Deadline::after(std::chrono::milliseconds(10)));
  REQUIRE_FALSE(late);
  CHECK(late.error().outcome() == Outcome::timed_out);
  CHECK(late.error().text() == "whether it matches '(a|b)*a(a|b){100}c' could not be told within 10ms");
  CHECK(Clock::now() - start < std::chrono::seconds(5));
  const auto each_byte = Regex::compile("a.*c|^b"); // takes hours, and no memory
  REQUIRE(each_byte);
  CHECK(each_byte->found_in(std::string(1'000'000, 'a'), Deadline::after(std::chrono::milliseconds(100)))
            .error()
            .outcome() == Outcome::timed_out);
  CHECK(regex->found_in("ab", Deadline::after(std::chrono::seconds(20))) == false);
  CHECK(regex->found_in(std::string(20'000, 'a') + "c", Deadline::after(std::chrono::seconds(20))) == true);
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if !__has_feature(address_sanitizer)
TEST_CASE("an expression that would take too much memory is told") {
  const auto regex = Regex::compile("(a|b)*a(a|b){100}c");
  REQUIRE(regex);
  const auto eaten = regex->found_in(many_sets(1'000'000), Deadline::after(std::chrono::seconds(120)));
  REQUIRE_FALSE(eaten);
  CHECK(eaten.error().outcome() == Outcome::no);
  CHECK(eaten.error().text() ==
        "it takes more than 32M of memory to tell whether it matches '(a|b)*a(a|b){100}c'");
  CHECK(regex->found_in(std::string(20'000, 'a') + "c", Deadline::after(std::chrono::seconds(20))) == true);
}
#endif

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

TEST_CASE("what is learnt from one text after the other does not pile up") {
  const auto regex = Regex::compile("(a|b)*a(a|b){16}c");
  REQUIRE(regex);
  const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  std::uint32_t state = 1;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    while (text.size() < 500) text += (state = state * 1664525 + 1013904223) >> 31U == 0 ? 'a' : 'b';
    const auto found = regex->found_in(text, Deadline::after(std::chrono::seconds(60)));
    REQUIRE(found);
    CHECK_FALSE(*found);
  }
  CHECK(mallinfo2().uordblks + mallinfo2().hblkhd < before + 48UL * 1024 * 1024);
  CHECK(*regex->found_in("xabaaaaaaaaaaaaaaaaaac", Deadline::never()));
}
