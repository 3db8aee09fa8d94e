#include "checks/http_check.hpp"

#include "catch.hpp"
#include "checks/make.hpp"
#include "net.hpp"
#include "scratch.hpp"
#include "scripted_server.hpp"

#include <sys/stat.h>

#include <condition_variable>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

Answer ask(const std::string& url, HttpExpectations expectations = {}) {
  auto check = HttpCheck::create({.url = parse_url(url).value()}, std::move(expectations));
  REQUIRE(check);
  return (*check)->ask(Deadline::after(5s));
}

HttpExpectations json(std::vector<std::string> filters) {
  HttpExpectations expect;
  expect.json = JqFilters::start(std::move(filters), {});
  return expect;
}

CheckSection section(std::vector<std::pair<std::string, std::string>> settings) {
  CheckSection made;
  made.name = "api";
  made.kind = settings.front().first;
  made.place = {"app.conf", 10};
  unsigned line = 11;
  for (auto& [key, value] : settings) made.settings.push_back({key, value, {"app.conf", line++}});
  return made;
}

const CheckContext context{.app = "demo", .release = "v\"1", .link = "/srv/current", .unit = "demo.service"};

std::string error_of(const CheckSection& wrong, const CheckContext& in = context) {
  const auto check = make_check(wrong, in);
  REQUIRE_FALSE(check);
  return check.error().text();
}

} // namespace

TEST_CASE("2xx is healthy unless something else is asked for") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(204, "")));
  const Answer answer = ask(server.url());
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.reason == "ok");
  CHECK(answer.sentence == server.url() + ": 204");
  REQUIRE(answer.figures.size() >= 3);
  CHECK(answer.figures[0].name == "latency");
  CHECK(answer.figures[0].value > 0);
}

TEST_CASE("another status is a no that counts") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(503, "")));
  const Answer answer = ask(server.url());
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "status");
  CHECK(answer.counts);
  CHECK(answer.sentence == server.url() + ": 503, expected 200-299");
  HttpExpectations expect;
  expect.status = StatusRanges::parse("200, 500-503").value();
  CHECK(ask(server.url(), expect).verdict == Verdict::yes);
}

TEST_CASE("a redirect is no success, and where it leads is told without its query") {
  const ScriptedServer server(ScriptedServer::answers(
      ScriptedServer::answer(302, "", "Location: https://login.example.org/?token=secret\r\n")));
  CHECK(ask(server.url()).sentence == server.url() + ": 302 to https://login.example.org/, expected 200-299");
}

TEST_CASE("headers are matched by name, whatever its case, and value") {
  const ScriptedServer server(ScriptedServer::answers(
      ScriptedServer::answer(200, "", "X-Version: v1.2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n")));
  const auto with = [&](const char* text) {
    HttpExpectations expect;
    expect.headers.push_back(HttpExpectations::parse_header(text).value());
    return ask(server.url(), std::move(expect));
  };
  CHECK(with("x-version: ^v1\\.").good());
  CHECK(with("SET-COOKIE: ^b$").good());
  const Answer other = with("X-Version: ^v2");
  CHECK(other.reason == "header");
  CHECK(other.sentence ==
        server.url() + ": 200, but the header x-version is 'v1.2', which does not match '^v2'");
  CHECK(with("X-None: .").sentence == server.url() + ": 200, but the header x-none is missing, expected '.'");
}

TEST_CASE("a body is matched as text and as JSON, and both") {
  const ScriptedServer server(
      ScriptedServer::answers(ScriptedServer::answer(200, R"({"status":"unhealthy"})")));
  HttpExpectations body;
  body.body.push_back(Regex::compile("unhealthy").value());
  CHECK(ask(server.url(), body).good());
  body.body.push_back(Regex::compile("\"healthy").value());
  const Answer no_match = ask(server.url(), body);
  CHECK(no_match.reason == "body");
  CHECK(no_match.sentence == server.url() + ": 200, but its body of 22 bytes does not match '\"healthy'");

  CHECK(ask(server.url(), json({".status == \"unhealthy\""})).good());
  const Answer not_true = ask(server.url(), json({".status == \"healthy\""}));
  CHECK(not_true.reason == "json");
  CHECK(not_true.counts);
  CHECK(not_true.sentence ==
        server.url() + ": 200, but .status == \"healthy\" gave false (it is \"unhealthy\")");
}

TEST_CASE("a body that is not JSON says so") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "<html>")));
  const Answer answer = ask(server.url(), json({"true"}));
  CHECK(answer.reason == "json");
  CHECK(answer.sentence.find("200, but the body is not JSON (") != std::string::npos);
}

TEST_CASE("a body that is too long is judged only where the body matters") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, std::string(100, '1'))));
  const auto with = [&](HttpExpectations expect) {
    auto check =
        HttpCheck::create({.url = parse_url(server.url()).value(), .max_body = 99}, std::move(expect));
    REQUIRE(check);
    return (*check)->ask(Deadline::after(5s));
  };
  CHECK(with({}).good());
  const Answer answer = with(json({"true"}));
  CHECK(answer.reason == "too-large");
  CHECK(answer.sentence == server.url() + ": 200, but its body is longer than 99B");
}

TEST_CASE("an answer that takes too long is a no of its own") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  HttpExpectations expect;
  expect.max_latency = 1us;
  const Answer answer = ask(server.url(), expect);
  CHECK(answer.reason == "latency");
  CHECK(answer.sentence.find(": 200, but after ") != std::string::npos);
}

TEST_CASE("nobody there is a no that does not count, closed at once is one that does") {
  std::string url;
  {
    const ScriptedServer server([](const ScriptedServer::Connection&, const std::string&) {});
    url = server.url();
    const Answer closed = ask(url);
    CHECK(closed.reason == "closed");
    CHECK(closed.counts);
  }
  const Answer refused = ask(url);
  CHECK(refused.reason == "refused");
  CHECK_FALSE(refused.counts);
  CHECK(refused.sentence == url + ": connection refused by 127.0.0.1");
}

TEST_CASE("a filter that does not compile ends the waiting, and nothing is sent") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "{}")));
  const Answer answer = ask(server.url(), json({".status =="}));
  CHECK(answer.reason == "filter");
  CHECK(answer.final);
  CHECK(server.requests().empty());
}

TEST_CASE("the gate of a request is whoever listens there, as far as that can be seen") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  const auto gate = [](const std::string& url) {
    return HttpCheck::create({.url = parse_url(url).value()}, {}).value()->gate();
  };
  REQUIRE(gate(server.url()));
  CHECK(gate(server.url())->instant());
  CHECK(gate(server.url())->ask(Deadline::never()).good());
  CHECK(gate("http://localhost:" + std::to_string(server.port()) + "/")->ask(Deadline::never()).good());
  CHECK_FALSE(gate("http://[::1]:" + std::to_string(server.port()) + "/")->ask(Deadline::never()).good());
  CHECK(gate("http://example.org/") == nullptr);
  CHECK(gate("http://192.0.2.1/") == nullptr);
}

TEST_CASE("an answer from another unit's socket does not count as the app's") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  auto identity = std::make_shared<const Identity>("no-such-unit.service");
  auto check = HttpCheck::create({.url = parse_url(server.url()).value()}, {}, identity);
  REQUIRE(check);
  const Answer answer = (*check)->ask(Deadline::after(5s));
  CHECK(answer.verdict == Verdict::no);
  CHECK((answer.reason == "other-unit" || answer.reason == "unknown-owner"));
  const Answer at_gate = (*check)->gate()->ask(Deadline::never());
  CHECK_FALSE(at_gate.good());

  SECTION("unless it was asked elsewhere than at the app's own port") {
    identity = std::make_shared<const Identity>("no-such-unit.service", parse_target("127.0.0.1:1").value());
    check = HttpCheck::create({.url = parse_url(server.url()).value()}, {}, identity);
    REQUIRE(check);
    CHECK((*check)->ask(Deadline::after(5s)).good());
    CHECK((*check)->gate()->ask(Deadline::never()).good());
  }
}

TEST_CASE("a section of the configuration becomes a check") {
  const ScriptedServer server(
      ScriptedServer::answers(ScriptedServer::answer(202, R"({"version":"v\"1"})", "X-App: demo\r\n")));
  auto check = make_check(section({{"http", server.url("/${release}")},
                                   {"expect-status", "202"},
                                   {"expect-json", R"(.version == "${release}")"},
                                   {"expect-json", ".version == $release and $app == \"demo\""},
                                   {"expect-header", "X-App: ^${app}$"},
                                   {"expect-body", "version"},
                                   {"max-latency", "5s"},
                                   {"method", "POST"},
                                   {"data", "release=${release}"},
                                   {"header", "X-Link: ${link}"},
                                   {"location", "yes"},
                                   {"max-body", "1K"}}),
                          context);
  REQUIRE(check);
  const Answer answer = (*check)->ask(Deadline::after(5s));
  INFO(answer.sentence);
  CHECK(answer.good());
  REQUIRE(server.requests().size() == 1);
  CHECK(server.requests()[0].starts_with("POST /v%221 HTTP/1.1\r\n"));
  CHECK(server.requests()[0].find("X-Link: /srv/current\r\n") != std::string::npos);
  CHECK(server.requests()[0].ends_with("release=v\"1"));
}

TEST_CASE("what is wrong with a check is told with its place") {
  const std::string url = "http://127.0.0.1:1/";
  CHECK(error_of(section({{"http", url}, {"expect-status", "99"}})) ==
        "app.conf:12: expect-status: '99': is not a status code or a range of them (such as 200-299,404)");
  CHECK(error_of(section({{"http", "http://${nothing}/"}})).starts_with("app.conf:11: http: "));
  CHECK(
      error_of(section({{"http", url}, {"expect-body", "("}})).starts_with("app.conf:12: expect-body: '('"));
  CHECK(error_of(section({{"frobnicate", "1"}})) == "app.conf:10: frobnicate: no such kind of check");
}

TEST_CASE("without a release ${release} has no value, which is no fault of the configuration") {
  CheckContext without = context;
  without.release.clear();
  const auto check = make_check(section({{"http", "http://127.0.0.1:1/${release}"}}), without);
  REQUIRE_FALSE(check);
  CHECK(check.error().outcome() == Outcome::no);
}

TEST_CASE("a token is a file, or a credential of the unit") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  const Scratch scratch;
  scratch.write("token", "open sesame");
  const auto wanted = section({{"http", server.url()}, {"bearer", "credential:token"}});
  CHECK(error_of(wanted) ==
        "app.conf:12: bearer: credential:token: no credentials were given (LoadCredential= of the unit)");
  CheckContext given = context;
  given.credentials = scratch.path();
  const auto check = make_check(wanted, given);
  REQUIRE(check);
  CHECK((*check)->ask(Deadline::after(5s)).good());
  CHECK(server.requests()[0].find("Authorization: Bearer open sesame\r\n") != std::string::npos);
}

TEST_CASE("a filter of the configuration that does not compile is told beside the waiting, with its place") {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Error> told;
  CheckContext telling = context;
  telling.on_late_error = [&](const Error& error) {
    const std::lock_guard lock(mutex);
    told = error;
    changed.notify_all();
  };
  const auto check = make_check(section({{"http", "http://127.0.0.1:1/"}, {"expect-json", "("}}), telling);
  REQUIRE(check);
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return told.has_value(); });
  CHECK(told->outcome() == Outcome::bad_config);
  CHECK(told->text().starts_with("app.conf:12: expect-json: '(': is not a jq filter ("));
}

TEST_CASE("a file that is not there is a no of that check, and no fault of the configuration") {
  for (const char* key : {"bearer", "cacert", "cert", "key"}) {
    const auto check = make_check(section({{"http", "http://127.0.0.1:1/"}, {key, "/nonexistent"}}), context);
    REQUIRE(check);
    const Answer answer = (*check)->ask(Deadline::after(5s));
    CHECK(answer.verdict == Verdict::no);
    CHECK(answer.reason == "local");
    CHECK(answer.sentence == "http://127.0.0.1:1/: /nonexistent: cannot open: No such file or directory");
    CHECK_FALSE(answer.counts);
  }
}

TEST_CASE("what this process may not read or connect to is skipped") {
  const Scratch scratch;
  REQUIRE(chmod(scratch.path().c_str(), 0755) == 0);
  scratch.write("token", "x");
  REQUIRE(chmod((scratch / "token").c_str(), 0) == 0);
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")), scratch / "socket");
  REQUIRE(chmod((scratch / "socket").c_str(), 0) == 0);
  for (const auto& [key, file] : {std::pair("bearer", "token"), {"unix-socket", "socket"}}) {
    const auto skipped = [&, key = key, path = scratch / file] {
      if (test::is_root() && setresuid(65534, 65534, 65534) != 0) return false;
      const auto check = make_check(section({{"http", "http://127.0.0.1:1/"}, {key, path}}), context);
      const Answer answer = check.value()->ask(Deadline::after(5s));
      return answer.verdict == Verdict::skipped && answer.reason == "permission" &&
             answer.sentence.find("Permission denied") != std::string::npos;
    };
    INFO(key);
    CHECK(test::in_child(skipped));
  }
}

TEST_CASE("no sentence tells the query of a URL") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(503, "")));
  const Answer answer = ask(server.url("/health?token=secret"));
  CHECK(answer.sentence == server.url("/health") + "?…: 503, expected 200-299");
  CHECK(server.requests().at(0).starts_with("GET /health?token=secret "));
}
