#include "checks/metric_check.hpp"

#include "catch.hpp"
#include "checks/make.hpp"
#include "net.hpp"
#include "scratch.hpp"
#include "scripted_server.hpp"

#include <sys/stat.h>

#include <atomic>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

CheckSection section(Settings settings, std::optional<Duration> timeout = {}) {
  CheckSection made;
  made.name = "errors";
  made.kind = "metric";
  made.place = {"app.conf", 10};
  made.timeout = timeout;
  unsigned line = 11;
  for (auto& [key, value] : settings) made.settings.push_back({key, value, {"app.conf", line++}});
  return made;
}

const CheckContext context{.app = "demo", .release = "v\"1", .link = "/srv/current", .unit = "demo.service"};

std::shared_ptr<Check> make(Settings settings, std::optional<Duration> timeout = {}) {
  auto check = make_check(section(std::move(settings), timeout), context);
  INFO((check ? std::string() : check.error().text()));
  REQUIRE(check);
  return std::move(*check);
}

std::string error_of(Settings settings, std::optional<Duration> timeout = {}) {
  const auto check = make_check(section(std::move(settings), timeout), context);
  REQUIRE_FALSE(check);
  CHECK(check.error().outcome() == Outcome::bad_config);
  return check.error().text();
}

// A page of metrics that counts how often it was asked for.
ScriptedServer counting_server(std::atomic<int>& asked, std::function<std::string(int)> page) {
  return ScriptedServer([&asked, page = std::move(page)](const auto& connection, const std::string&) {
    (void)connection.send(ScriptedServer::answer(200, page(++asked)));
  });
}

Answer ask(const std::shared_ptr<Check>& check) {
  return check->ask(Deadline::after(10s));
}

Answer ask_of(const std::string& page, const std::string& expression, const std::string& bound,
              const std::string& number) {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, page)));
  return ask(make({{"metric", expression}, {"url", server.url()}, {bound, number}}));
}

double figure(const Answer& answer, std::string_view name) {
  for (const auto& one : answer.figures)
    if (one.name == name) return one.value;
  FAIL("no figure " << name);
  return 0;
}

} // namespace

TEST_CASE("a value within its bounds is a yes, and one outside a no") {
  constexpr const char* page = "queue{name=\"mail\"} 7\nqueue{name=\"print\"} 3\n";
  Answer answer = ask_of(page, "queue", "max", "10");
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == "queue is 10, at most 10");
  CHECK(figure(answer, "value") == 10);
  answer = ask_of(page, "queue", "max", "9.5");
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "high");
  CHECK(answer.counts);
  CHECK(answer.sentence == "queue is 10, more than 9.5");
  answer = ask_of(page, "queue{name=\"mail\"}", "min", "1e1");
  CHECK(answer.reason == "low");
  CHECK(answer.sentence == "queue{name=\"mail\"} is 7, less than 10");
  CHECK(ask_of(page, "queue", "min", "-3").sentence == "queue is 10, at least -3");
}

TEST_CASE("a value that is hardly more than its bound is told with all its digits") {
  CHECK(ask_of("a 0.01000000001\n", "a", "max", "0.01").sentence == "a is 0.01000000001, more than 0.01");
}

TEST_CASE("both parts of a ratio are told") {
  const Answer answer = ask_of("a 1\nb 4\n", "a / b", "max", "0.2");
  CHECK(answer.sentence == "a / b is 0.25, more than 0.2");
  CHECK(figure(answer, "value") == 0.25);
  CHECK(figure(answer, "numerator") == 1);
  CHECK(figure(answer, "denominator") == 4);
}

TEST_CASE("NaN is no yes, and infinity is more than anything") {
  Answer answer = ask_of("a NaN\n", "a", "max", "1");
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "nan");
  CHECK(answer.sentence == "a is NaN, and should be at most 1");
  CHECK(answer.figures.empty());
  CHECK(ask_of("a NaN\n", "a", "min", "-1").reason == "nan");
  answer = ask_of("a 1\nb 0\n", "a / b", "max", "1e300");
  CHECK(answer.reason == "high");
  CHECK(answer.sentence.find("a / b is +Inf, more than ") == 0);
  CHECK(ask_of("a +Inf\n", "a", "min", "1").good());
}

TEST_CASE("a metric that is not there is a no, and nothing to judge is skipped") {
  const Answer missing = ask_of("a 1\n", "b", "max", "1");
  CHECK(missing.verdict == Verdict::no);
  CHECK(missing.reason == "missing");
  CHECK(missing.sentence.find("http://127.0.0.1:") == 0);
  CHECK(missing.sentence.find("/: has no metric b") != std::string::npos);
  const Answer idle = ask_of("a 0\n", "a / a", "max", "1");
  CHECK(idle.verdict == Verdict::skipped);
  CHECK(idle.reason == "idle");
}

TEST_CASE("another status than 200 is a no, whatever the body holds") {
  const ScriptedServer server(ScriptedServer::answers(
      ScriptedServer::answer(404, "a 1\n" + std::string(longest_metric_line + 1, 'x'))));
  const Answer answer = ask(make({{"metric", "a"}, {"url", server.url()}, {"max", "1"}}));
  CHECK(answer.reason == "status");
  CHECK(answer.sentence == server.url() + ": 404, expected 200");
}

TEST_CASE("where nobody answers the reasons are those of HTTP") {
  const auto check = make(
      {{"metric", "a"}, {"url", "http://127.0.0.1:" + std::to_string(test::unused_port())}, {"max", "1"}});
  REQUIRE(check->gate());
  CHECK_FALSE(check->gate()->ask(Deadline::after(5s)).good());
  const Answer answer = ask(check);
  CHECK(answer.reason == "refused");
  CHECK_FALSE(answer.counts);
}

TEST_CASE("a page without end ends at the deadline, or where it is at fault") {
  const auto endless = [](std::string text) {
    return [text = std::move(text)](const ScriptedServer::Connection& connection, const std::string&) {
      if (!connection.send("HTTP/1.1 200 OK\r\n\r\n")) return;
      while (connection.send(text)) {
      }
    };
  };
  const ScriptedServer lines(endless("b{x=\"some\"} 1\n"));
  const Answer late = make({{"metric", "a"}, {"url", lines.url()}, {"max", "1"}})->ask(Deadline::after(2s));
  CHECK(late.reason == "timeout");
  CHECK(late.sentence.find("200, but the answer did not end within 2s (") != std::string::npos);
  CHECK(late.sentence.find(" (0 bytes") == std::string::npos);

  const ScriptedServer no_lines(endless(std::string(1000, 'x')));
  const Answer answer = ask(make({{"metric", "a"}, {"url", no_lines.url()}, {"max", "1"}}));
  CHECK(answer.reason == "malformed");
  CHECK(answer.sentence == no_lines.url() + ": line 1 is longer than 64K");
}

TEST_CASE("a rate takes a second look after its time") {
  std::atomic<int> asked = 0;
  const ScriptedServer server =
      counting_server(asked, [](int time) { return "a_total " + std::to_string(time * 1000) + "\n"; });
  const auto check = make({{"metric", "rate(a_total[200ms])"}, {"url", server.url()}, {"max", "1"}});
  const auto begin = Clock::now();
  const Answer answer = ask(check);
  CHECK(Clock::now() - begin >= 200ms);
  CHECK(asked == 2);
  CHECK(answer.reason == "high");
  const double rate = figure(answer, "value");
  CHECK(rate > 0);
  CHECK(rate <= 1000 / 0.2);
}

TEST_CASE("a rate that is asked again takes one look, and the one that is old enough") {
  std::atomic<int> asked = 0;
  const ScriptedServer server = counting_server(asked, [](int) { return std::string("a_total 5\n"); });
  const auto check = make({{"metric", "rate(a_total[100ms])"}, {"url", server.url()}, {"max", "0"}});
  CHECK(ask(check).good());
  CHECK(asked == 2);
  for (int again = 3; again < 6; ++again) {
    CHECK(ask(check).good());
    CHECK(asked == again);
  }
}

TEST_CASE("a rate for which there is no time says so, and goes on from there") {
  std::atomic<int> asked = 0;
  const ScriptedServer server = counting_server(asked, [](int) { return std::string("a_total 5\n"); });
  const auto check = make({{"metric", "rate(a_total[1s])"}, {"url", server.url()}, {"max", "0"}});
  const Answer answer = check->ask(Deadline::after(900ms));
  CHECK(answer.reason == "timeout");
  CHECK_FALSE(answer.counts);
  CHECK(asked == 1);
  CHECK(ask(check).good());
  CHECK(asked == 3);
}

TEST_CASE("a server that begins anew between two looks has counted from 0") {
  std::atomic<int> asked = 0;
  const ScriptedServer server =
      counting_server(asked, [](int time) { return time == 1 ? "a_total 1000000\n" : "a_total 0\n"; });
  const Answer answer = ask(make({{"metric", "rate(a_total[50ms])"}, {"url", server.url()}, {"max", "0"}}));
  CHECK(answer.sentence == "rate(a_total[50ms]) is 0, at most 0");
}

TEST_CASE("a metric that is missing is told before the time of a rate has passed") {
  std::atomic<int> asked = 0;
  const ScriptedServer server = counting_server(asked, [](int) { return std::string("a_total 5\n"); });
  const auto check = make({{"metric", "rate(b_total[1h])"}, {"url", server.url()}, {"max", "0"}}, 2h);
  CHECK(ask(check).reason == "missing");
  CHECK(asked == 1);
}

TEST_CASE("metrics are read from a file, too") {
  const Scratch scratch;
  scratch.write("node.prom", "# TYPE backup_age gauge\nbackup_age 3600");
  const auto of = [&](const std::string& name) {
    return ask(make({{"metric", "backup_age"}, {"file", scratch / name}, {"max", "86400"}}));
  };
  CHECK(of("node.prom").sentence == "backup_age is 3600, at most 86400");
  const Answer none = of("other.prom");
  CHECK(none.verdict == Verdict::no);
  CHECK(none.reason == "missing");
  CHECK(none.sentence == scratch / "other.prom" + ": No such file or directory");
  REQUIRE(mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  CHECK(of("fifo").reason == "not-a-file");
  CHECK(of("").reason == "not-a-file");
  std::string page = "backup_age 1\n";
  while (page.size() < 200'000) page += "other{x=\"some\"} 1\n";
  scratch.write("long.prom", page + "backup_age{x=\"1\"} 2\n");
  CHECK(of("long.prom").sentence == "backup_age is 3, at most 86400");
}

TEST_CASE("a file that may not be read is skipped") {
  const Scratch scratch;
  std::filesystem::permissions(scratch.path(), std::filesystem::perms::all);
  scratch.write("secret", "a 1\n");
  REQUIRE(chmod((scratch / "secret").c_str(), 0) == 0);
  const auto skipped = [&] {
    if (test::is_root() && setresuid(65534, 65534, 65534) != 0) return false;
    const Answer answer =
        make_check(section({{"metric", "a"}, {"file", scratch / "secret"}, {"max", "1"}}), context)
            .value()
            ->ask(Deadline::after(5s));
    return answer.verdict == Verdict::skipped && answer.reason == "unreadable";
  };
  CHECK(test::in_child(skipped));
}

TEST_CASE("the request takes what http takes") {
  const Scratch scratch;
  scratch.write("token", "s3cret\n");
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "a 1\n")),
                              scratch / "socket");
  const auto check = make({{"metric", "a"},
                           {"url", "http://localhost/metrics"},
                           {"unix-socket", scratch / "socket"},
                           {"bearer", scratch / "token"},
                           {"header", "X-Scope: all"},
                           {"insecure", "yes"},
                           {"min", "1"},
                           {"max", "1"}});
  const Answer answer = ask(check);
  CHECK(answer.sentence == "a is 1, from 1 to 1");
  const std::string request = server.requests().at(0);
  CHECK(request.find("GET /metrics HTTP/1.1\r\n") == 0);
  CHECK(request.find("Authorization: Bearer s3cret\r\n") != std::string::npos);
  CHECK(request.find("X-Scope: all\r\n") != std::string::npos);
}

TEST_CASE("an answer of another process than the app's does not count") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "a 1\n")));
  CheckContext guarded = context;
  guarded.identity = std::make_shared<Identity>("demo.service");
  const auto check = make_check(section({{"metric", "a"}, {"url", server.url()}, {"max", "1"}}), guarded);
  REQUIRE(check);
  CHECK_FALSE(ask(*check).good());
}

TEST_CASE("what stands for the release is quoted for the place in the expression") {
  const Answer answer = ask_of("version{name=\"v\\\"1\"} 1\nversion{name=\"v0\"} 0\n",
                               "version{name=\"${release}\"}", "min", "1");
  CHECK(answer.sentence == "version{name=\"v\\\"1\"} is 1, at least 1");
}

TEST_CASE("a configuration that asks for nothing, or for too much, is wrong") {
  const std::pair<std::string, std::string> url{"url", "http://127.0.0.1:1/"};
  CHECK(error_of({{"metric", "a"}, url}) ==
        "app.conf:11: metric: needs max or min: without a bound it says nothing");
  CHECK(error_of({{"metric", "a"}, url, {"min", "2"}, {"max", "1"}}) == "app.conf:13: min: is more than max");
  CHECK(error_of({{"metric", "a"}, {"max", "1"}}) ==
        "app.conf:11: metric: either url or file must say where the metrics are");
  CHECK(error_of({{"metric", "a"}, url, {"file", "/x"}, {"max", "1"}}).find("either url or file") !=
        std::string::npos);
  CHECK(error_of({{"metric", "a"}, {"file", "/x"}, {"max", "1"}, {"bearer", "/y"}}) ==
        "app.conf:14: bearer: is for a url, and not for a file");
  CHECK(error_of({{"metric", "a +"}, url, {"max", "1"}}) ==
        "app.conf:11: metric: at '+': expected a '/' or the end");
  CHECK(
      error_of({{"metric", "a"}, url, {"max", "1e999"}}).find("app.conf:13: max: '1e999': is not a number") ==
      0);
}

TEST_CASE("a rate whose time does not fit into the timeout is told which to raise") {
  const Settings settings{{"metric", "rate(a[10s])"}, {"url", "http://127.0.0.1:1/"}, {"max", "1"}};
  CHECK(error_of(settings) ==
        "app.conf:11: metric: a rate over 10s does not fit into timeout = 5s: raise timeout");
  CHECK(error_of(settings, 10s).find("timeout = 10s: raise timeout") != std::string::npos);
  (void)make(settings, 11s);
  (void)make(settings, without_limit);
}

TEST_CASE("no sentence tells the query of the page's URL") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "b 1\n")));
  const Answer answer =
      ask(make({{"metric", "a"}, {"url", server.url("/metrics?token=secret")}, {"max", "1"}}));
  CHECK(answer.sentence == server.url("/metrics") + "?…: has no metric a");
}

TEST_CASE("a token that is not there, or may not be read, is a matter of that check") {
  const Scratch scratch;
  std::filesystem::permissions(scratch.path(), std::filesystem::perms::all);
  scratch.write("token", "x");
  REQUIRE(chmod((scratch / "token").c_str(), 0) == 0);
  const auto of = [&](const std::string& name) {
    return ask(
        make_check(
            section(
                {{"metric", "a"}, {"url", "http://127.0.0.1:1/"}, {"bearer", scratch / name}, {"max", "1"}}),
            context)
            .value());
  };
  CHECK(of("gone").verdict == Verdict::no);
  CHECK(of("gone").reason == "local");
  CHECK(test::in_child([&] {
    if (test::is_root() && setresuid(65534, 65534, 65534) != 0) return false;
    const Answer answer = of("token");
    return answer.verdict == Verdict::skipped && answer.reason == "permission";
  }));
}

TEST_CASE("a long file is read in pieces, and no longer than its reader wants") {
  const Scratch scratch;
  std::string page;
  for (int i = 0; i < 100'000; ++i) page += "other{x=\"" + std::to_string(i) + "\"} 1\n";
  scratch.write("a", page + "a 3\n");
  CHECK(ask(make({{"metric", "a"}, {"file", scratch / "a"}, {"max", "3"}})).good());
  scratch.write("b", "a x\n" + page);
  CHECK(ask(make({{"metric", "a"}, {"file", scratch / "b"}, {"max", "3"}})).reason == "malformed");
}
