#include "jq.hpp"

#include "catch.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

using namespace safe_deploy;

namespace {

constexpr const char* health = R"({"status":"unhealthy","version":"v1","n":[1,{"a b":2}],"ok":false,
  "services":{"redis":{"status":"disconnected"}}})";

Deadline soon() {
  return Deadline::after(std::chrono::seconds(20));
}

// What the filters say of `json`: empty if they are content.
std::string said(std::vector<std::string> filters, std::string_view json = health) {
  const auto jq = JqFilters::start(std::move(filters), {{"release", "v1"}, {"app", "demo"}});
  const auto checked = jq->check(json, soon());
  return checked ? checked->problem : checked.error().text();
}

std::string compile_error(std::vector<std::string> filters) {
  const auto compiled = JqFilters::start(std::move(filters), {})->compiled();
  REQUIRE_FALSE(compiled);
  CHECK(compiled.error().outcome() == Outcome::usage);
  return compiled.error().text();
}

} // namespace

TEST_CASE("filters that give true are content") {
  CHECK(said({".status == \"unhealthy\""}).empty());
  CHECK(said({".version == $release", "$app == \"demo\"", "true, true"}).empty());
  CHECK(said({"def f: .version; f == \"v1\" # a comment"}).empty());
  CHECK(said({".n | length == 2"}).empty());
}

TEST_CASE("a comparison that fails is told with the value on its left") {
  CHECK(said({".status == \"healthy\""}) == ".status == \"healthy\" gave false (it is \"unhealthy\")");
  CHECK(said({".services.redis.status == \"connected\""}) ==
        ".services.redis.status == \"connected\" gave false (it is \"disconnected\")");
  CHECK(said({".n[1][\"a b\"] > 3"}) == ".n[1][\"a b\"] > 3 gave false (it is 2)");
  CHECK(said({".nothing.there == 1"}) == ".nothing.there == 1 gave false (it is null)");
  CHECK(said({".n[-3] == 1 or .\"version\" == $app"}) ==
        ".n[-3] == 1 or .\"version\" == $app gave false (.n[-3] is null, .\"version\" is \"v1\")");
}

TEST_CASE("where the left side cannot be told, the result is") {
  CHECK(said({".n | length > 5"}) == ".n | length > 5 gave false");
  CHECK(said({".ok"}) == ".ok gave false");
  CHECK(said({".n[] == 1"}) == ".n[] == 1 gave false");
  CHECK(said({".version"}) == ".version gave \"v1\"");
  CHECK(said({"\"\\(.version)\" == \"v2\""}) == "\"\\(.version)\" == \"v2\" gave false");
}

TEST_CASE("the first filter that is not content is told") {
  CHECK(said({".version == \"v1\"", ".ok", ".nothing"}) == ".ok gave false");
}

TEST_CASE("a filter that gives nothing, or fails, is not content") {
  CHECK(said({"empty"}) == "empty gave no result");
  CHECK(said({"halt"}) == "halt gave no result");
  CHECK(said({".status.x == 1"}) == ".status.x == 1 failed: Cannot index string with string \"x\"");
  CHECK(said({"error(\"on purpose\")"}) == "error(\"on purpose\") failed: on purpose");
  CHECK(said({"input"}).starts_with("input failed: "));
}

TEST_CASE("results without end are cut off") {
  CHECK(said({"repeat(true)"}) == "repeat(true) gave more results than can be looked at");
  CHECK(said({"range(infinite) | . < 3"}) == "range(infinite) | . < 3 gave false");
}

TEST_CASE("a filter says what it has to say only in its result") {
  CHECK(said({"debug | true", ".ok == false"}).empty());
}

TEST_CASE("values are shown shortly and without control characters") {
  const std::string text = said({".a == 1"}, R"({"a":")" + std::string(5000, 'x') + R"("})");
  CHECK(text.size() < 200);
  CHECK(said({".a == 1"}, R"({"a":"\u001b[31m"})") == ".a == 1 gave false (it is \"\\u001b[31m\")");
}

TEST_CASE("what is not one JSON value is told, and where") {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("1 2"), std::string("<html>"), std::string("{\"a\":1,}"),
        std::string("NaN"), std::string("[nan]"), std::string("1e999"), std::string("'a'"),
        std::string("\"\xff\""), std::string("1") + '\0', std::string("[1]\0[2]", 7),
        std::string(20000, '[')}) {
    for (const char* filter : {"true", "1 == 1"}) {
      INFO(text.substr(0, 20) << " | " << filter);
      CHECK(said({filter}, text).starts_with("the body is not JSON ("));
      CHECK(said({filter}, text).size() < 150);
    }
  }
  CHECK(said({"1 == 1"}, "{\n  \"a\": x}").starts_with("the body is not JSON (line 2, column 8: "));
  CHECK(said({"1 == 1"}, std::string_view("[1]\0[2]", 7)) == "the body is not JSON (byte 4 is NUL)");
}

TEST_CASE("a body may hold 256 levels, and more make nobody recurse") {
  const auto deep = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  for (const char* filter : {"true", "1 == 1"}) {
    INFO(filter);
    CHECK(said({filter}, deep(256)).empty());
    for (const std::size_t levels : {std::size_t{257}, std::size_t{10'000}, std::size_t{400'000}})
      CHECK(said({filter}, deep(levels)) == "the body is not JSON (more than 256 levels deep)");
  }
}

TEST_CASE("numbers are taken as far as they go") {
  const std::string many(5000, '9');
  CHECK(said({".a > 1", ".b < 1"}, R"({"a": 1e300, "b": 1e-400})").empty());
  CHECK(said({".a == " + many}, R"({"a": 1})").find("gave false (it is 1)") != std::string::npos);
  CHECK(said({".a == 1e999"}, R"({"a": 1})") == ".a == 1e999 gave false");
  CHECK(said({".a == 1"}, R"({"a": )" + many + "}").find("out of range") != std::string::npos);
}

TEST_CASE("a filter that does not end is ended, and the next body is judged by a new process") {
  const auto jq = JqFilters::start({"if .loop then last(range(1; infinite)) else true end"}, {});
  REQUIRE(jq->compiled(soon()));
  const auto before = Clock::now();
  const auto late = jq->check(R"({"loop": true})", Deadline::after(std::chrono::seconds(1)));
  REQUIRE_FALSE(late);
  CHECK(late.error().outcome() == Outcome::timed_out);
  CHECK(late.error().text() ==
        "the filter `if .loop then last(range(1; infinite)) else true end` did not end within 1s");
  CHECK(Clock::now() - before < std::chrono::seconds(5));
  CHECK(jq->check("{}", soon())->problem.empty());
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if !__has_feature(address_sanitizer)
TEST_CASE("a filter, or a body, that takes too much memory is told") {
  const auto jq = JqFilters::start({"if .eat then [range(1; infinite)] else true end"}, {});
  const auto eaten = jq->check(R"({"eat": true})", soon());
  REQUIRE_FALSE(eaten);
  CHECK(eaten.error().outcome() == Outcome::no);
  CHECK(eaten.error().text() ==
        "the filter `if .eat then [range(1; infinite)] else true end` needs more than "
        "32M of memory for its body of 13B");
  CHECK(jq->check("{}", soon())->problem.empty());

  std::string large = "[[]";
  while (large.size() < 1'000'000) large += ",[]";
  large += "]";
  for (const char* filter : {"1 == 1", "true"}) {
    INFO(filter);
    const auto filters = JqFilters::start({filter}, {});
    const auto judged = filters->check(large, soon());
    REQUIRE_FALSE(judged);
    CHECK(judged.error().text().find("needs more than 32M of memory for its body of 97") !=
          std::string::npos);
    CHECK(filters->check("{}", soon())->problem.empty());
  }
}
#endif

TEST_CASE("a large body as services write it is judged, with its numbers") {
  std::string large = R"({"status":"healthy","n":7,"items":[0)";
  while (large.size() < 1'000'000) large += R"(,{"id":12345,"name":"some name of it","tags":["a","b"]})";
  large += "]}";
  for (const char* filter : {".status == \"healthy\" and .n == 7", "(.status == \"healthy\") and .n < 8"}) {
    INFO(filter);
    const auto judged = JqFilters::start({filter}, {})->check(large, soon());
    REQUIRE(judged);
    CHECK(judged->problem.empty());
    CHECK(judged->numbers == std::vector<std::pair<std::string, double>>{{".n", 7}});
  }
  CHECK(said({".n == 8"}, large) == ".n == 8 gave false (it is 7)");
}

TEST_CASE("a filter that does not compile is named, with the reason") {
  CHECK(compile_error({".status =="}).find("'.status ==': is not a jq filter (syntax error, unexpected ") ==
        0);
  CHECK(compile_error({"true", "foo + 1"}).find("'foo + 1': is not a jq filter (foo/0 is not defined") == 0);
  CHECK(compile_error({"$other"}).find("$other is not defined") != std::string::npos);
  CHECK(compile_error({".a)or(.b"}).find("'.a)or(.b'") == 0);
  CHECK(compile_error({".a; .b"}).find("'.a; .b'") == 0);
  CHECK(compile_error({"import \"x\" as x; true"}).find("module not found") != std::string::npos);
  CHECK(compile_error({""}).find("''") == 0);
  CHECK(compile_error({"# nothing"}).find("'# nothing'") == 0);
}

TEST_CASE("who waits for something else is told at once that a filter does not compile") {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<std::string> told;
  const auto jq = JqFilters::start({"("}, {}, [&](const Error& error) {
    const std::lock_guard lock(mutex);
    told = error.text();
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return told.has_value(); });
  CHECK(told->starts_with("'('"));
  lock.unlock();
  CHECK_FALSE(jq->compiled());
}

TEST_CASE("the numbers that filters speak of are found by their paths") {
  const auto filters = JqFilters::start(
      {".streams == 0", ".app.requests < 5 and .streams == 0", ".name == \"x\"", "length > 1"}, {});
  const auto numbers = [&](std::string_view json) {
    const auto judged = filters->check(json, soon());
    REQUIRE(judged);
    return judged->numbers;
  };
  CHECK(numbers(R"({"streams": 2, "app": {"requests": 1.5}, "name": "x"})") ==
        std::vector<std::pair<std::string, double>>{{".streams", 2}, {".app.requests", 1.5}});
  CHECK(numbers("no JSON").empty());
  CHECK(numbers("[]").empty());
}

TEST_CASE("filters that only compare are decided as jq decides them") {
  const std::string json =
      R"({"s":"healthy","n":2,"f":1.5,"t":true,"z":null,"o":{"a":[1,{"b":"x"}]},"e":"","big":12345678901234567890})";
  // The same twice: plain, and with something that is not, so that libjq is asked.
  for (const char* filter : {R"(.s == "healthy")",
                             R"(.s != "healthy")",
                             ".n == 2",
                             ".n == 2.0",
                             ".n < 3",
                             ".n <= 2",
                             ".n > 1.9",
                             ".n >= 3",
                             ".n < .f",
                             ".f == 1.5 and .n > .f",
                             ".t == true",
                             ".t == 1",
                             ".z == null",
                             ".missing == null",
                             ".missing.deeper == null",
                             ".o.a[1].b == \"x\"",
                             ".o[\"a\"][0] == 1",
                             ".o.a[7] == null",
                             ".s < .n",
                             ".n < .s",
                             ".o == .o",
                             ".z < .t",
                             ".e == \"\"",
                             "\"a\" < \"b\"",
                             "1 == 1",
                             "$v == \"1\"",
                             ".s == $v",
                             ".s.t == 1",
                             ".n[0] == 1",
                             ".s == \"healthy\" and .n == 3",
                             ".big == 12345678901234567890",
                             ".s==\"healthy\"and .n==2",
                             ".o.a[-1].b == \"x\"",
                             ".n == 2 or .n == 3",
                             "(.n == 2)",
                             ".n",
                             ".t",
                             ".n == 1e0",
                             ".a?.b == null"}) {
    INFO(filter);
    const JqFilters::Variables variables{{"v", "1"}};
    const auto said_of = [&](const std::string& text) { // without the text, and the values behind it
      const auto judged = JqFilters::start({text}, variables)->check(json, soon());
      REQUIRE(judged);
      const std::string& problem = judged->problem;
      return problem.empty() ? ""
                             : problem.substr(text.size(), problem.find(" (", text.size()) - text.size());
    };
    CHECK(said_of(filter) == said_of(std::string("(") + filter + ")"));
  }
}

TEST_CASE("filters that only compare cost no start of libjq") {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i)
    REQUIRE(JqFilters::start({".status == \"healthy\""}, {})
                ->check(R"({"status":"healthy"})", soon())
                ->problem.empty());
  const auto plain = std::chrono::steady_clock::now() - start;
  const auto again = std::chrono::steady_clock::now();
  REQUIRE(JqFilters::start({"(.status == \"healthy\")"}, {})
              ->check(R"({"status":"healthy"})", soon())
              ->problem.empty());
  CHECK(plain < std::chrono::steady_clock::now() - again); // twenty against one
}
