#include "quantity.hpp"

#include "catch.hpp"

using namespace safe_deploy;
using namespace std::chrono_literals;

TEST_CASE("durations are written as people write them") {
  CHECK(parse_duration("500ms").value() == 500ms);
  CHECK(parse_duration("30s").value() == 30s);
  CHECK(parse_duration("1m30s").value() == 90s);
  CHECK(parse_duration("1m 30s").value() == 90s);
  CHECK(parse_duration("2h").value() == 2h);
  CHECK(parse_duration("15").value() == 15s);
  CHECK(parse_duration("0.25").value() == 250ms);
  CHECK(parse_duration("0").value() == 0s);
  CHECK(parse_duration("infinity").value() == without_limit);
}

TEST_CASE("the sentence about a wrong duration names infinity only where that is allowed") {
  CHECK(parse_duration("14days").error().text() ==
        "'14days': is not a duration (such as 500ms, 30s, 1m30s, 2h, 14d or infinity)");
  CHECK(parse_limited_duration("14days").error().text() ==
        "'14days': is not a duration (such as 500ms, 30s, 1m30s, 2h or 14d)");
  for (const char* text : {"0", "0s", "infinity"})
    CHECK(parse_limited_duration(text).error().problem == "is not a duration of more than 0, with a limit");
  CHECK(parse_limited_duration("14d").value() == std::chrono::hours(14 * 24));
}

TEST_CASE("what is not a duration is a usage error") {
  for (const char* text : {"", "-1", "1x", "s", "1m30", "5 minutes!", "1e3", "nan", "inf", " 5s", "5s ",
                           "1..5s", ".5s", "99999999999999999999d"}) {
    INFO(text);
    const auto parsed = parse_duration(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().outcome() == Outcome::usage);
  }
}

TEST_CASE("sizes are in powers of 1024") {
  CHECK(parse_size("500M").value() == 500ULL << 20U);
  CHECK(parse_size("10G").value() == 10ULL << 30U);
  CHECK(parse_size("1.5KiB").value() == 1536);
  CHECK(parse_size("7").value() == 7);
  for (const char* text : {"", "-1M", "5X", "10GG", "M", "9999999999G"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("percentages go from 0 to 100") {
  CHECK(parse_percent("80%").value() == 80);
  CHECK(parse_percent("12.5").value() == 12.5);
  for (const char* text : {"", "101%", "-1%", "80 %", "80%%"}) CHECK_FALSE(parse_percent(text));
}

TEST_CASE("durations are told with at most two units") {
  CHECK(format_duration(300us) == "300us");
  CHECK(format_duration(2500us) == "2.5ms");
  CHECK(format_duration(250ms) == "250ms");
  CHECK(format_duration(3250ms) == "3.2s");
  CHECK(format_duration(59'999ms) == "59.9s");
  CHECK(format_duration(60s) == "1m");
  CHECK(format_duration(135s) == "2m 15s");
  CHECK(format_duration(7500s) == "2h 5m");
  CHECK(format_duration(90000s) == "1d 1h");
}

TEST_CASE("sizes are told shortly") {
  CHECK(format_size(12) == "12B");
  CHECK(format_size(1536) == "1.5K");
  CHECK(format_size(500ULL << 20U) == "500M");
}
