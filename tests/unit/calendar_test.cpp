#include "calendar.hpp"

#include "catch.hpp"

#include <cstdlib>

using namespace safe_deploy;

namespace {

// Saturday, 2026-11-28 10:15:02 UTC
constexpr std::time_t now = 1795860902;

// In a time zone an hour east of Greenwich, and with its name put back at the end.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* before = std::getenv("TZ")) before_ = before;
    set(name);
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() {
    if (before_)
      set(before_->c_str());
    else
      (void)unsetenv("TZ");
    tzset();
  }

 private:
  static void set(const char* name) {
    (void)setenv("TZ", name, 1);
    tzset();
  }
  std::optional<std::string> before_;
};

std::string since(const char* text) {
  return parse_since(text, now).value();
}

} // namespace

TEST_CASE("recorded times are read and written") {
  CHECK(format_recorded(parse_recorded("2026-11-28T10:15:02.123Z").value()) == "2026-11-28T10:15:02.123Z");
  CHECK(parse_recorded("2026-11-28T10:15:02Z").value() == now * 1000);
  for (const char* text :
       {"", "2026-11-28", "2026-11-28T10:15:02.123", "2026-11-28T10:15:02.1Z", "2026-02-30T10:15:02.123Z",
        "2026-13-01T10:15:02.123Z", "2026-11-28T24:15:02.123Z", "2026-11-28T10:15:02.123Zx"})
    CHECK_FALSE(parse_recorded(text));
}

TEST_CASE("people read local time") {
  const Zone zone("CET-1");
  CHECK(local_time("2026-11-28T23:15:02.123Z") == "2026-11-29 00:15:02");
  CHECK(local_time("yesterday\n") == "yesterday\\x0a");
}

TEST_CASE("since when, as people say it") {
  const Zone zone("CET-1");
  CHECK(since("2026-11-28") == "2026-11-27T23:00:00.000Z");
  CHECK(since("2026-11-28 10:00") == "2026-11-28T09:00:00.000Z");
  CHECK(since("2026-11-28T10:00:30") == "2026-11-28T09:00:30.000Z");
  CHECK(since("2026-11-28T10:00:00.000Z") == "2026-11-28T10:00:00.000Z");
  CHECK(since("today") == "2026-11-27T23:00:00.000Z");
  CHECK(since("yesterday") == "2026-11-26T23:00:00.000Z");
  CHECK(since("now") == "2026-11-28T10:15:02.000Z");
  CHECK(since("2d") == "2026-11-26T10:15:02.000Z");
  CHECK(since("12h") == "2026-11-27T22:15:02.000Z");
  CHECK(since("1d12h") == "2026-11-26T22:15:02.000Z");
  CHECK(since("90d") < since("2d"));
}

TEST_CASE("what is no time is told, with what is one") {
  for (const char* text : {"", "tomorrow", "2026", "28.11.2026", "2026-02-30", "2026-11-28 25:00",
                           "2026-11-28 10", "12", "infinity", "-2d", "2d ago x", "2026-11-28 10:00 x"}) {
    const auto parsed = parse_since(text, now);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().outcome() == Outcome::usage);
    CHECK(parsed.error().text().find("yesterday") != std::string::npos);
  }
}
