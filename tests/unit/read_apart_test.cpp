#include "read_apart.hpp"

#include "catch.hpp"
#include "checks/certificate_check.hpp"
#include "checks/environment_check.hpp"
#include "checks/http_check.hpp"
#include "checks/metric_check.hpp"
#include "dead_file_system.hpp"
#include "scratch.hpp"

#include <sys/stat.h>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

TEST_CASE("a file is read whole, or in as many pieces as are wanted") {
  const Scratch scratch;
  std::string long_text;
  for (int i = 0; i < 200'000; ++i) long_text += std::to_string(i);
  scratch.write("long", long_text);
  scratch.write("empty", "");
  FileApart files;
  const auto read = [&](const std::string& name, std::size_t limit = 10UL << 20U) {
    return files.read(scratch / name, limit, Deadline::after(30s));
  };
  CHECK((read("long").value() == long_text)); // in parentheses: nobody wants to see a megabyte
  CHECK(read("empty").value().empty());
  CHECK((read("long", long_text.size()).value() == long_text));
  CHECK(read("long", long_text.size() - 1).error().text() == scratch / "long" + ": is too large");
  std::size_t pieces = 0;
  const auto one = [&](std::string_view piece) { return ++pieces == 0 || piece.empty(); };
  CHECK(files.read(scratch / "long", one, Deadline::after(30s)));
  CHECK(pieces == 1);
  CHECK(read("gone").error().code == std::errc::no_such_file_or_directory);
  REQUIRE(mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  CHECK(read("fifo").error().text() == scratch / "fifo" + ": is not a regular file");
  CHECK(read("").error().outcome() == Outcome::no);
}

TEST_CASE("patterns and what there is are looked at") {
  const Scratch scratch;
  scratch.write("a.env", "");
  scratch.write("b.env", "");
  FileApart files;
  CHECK(files.matching(scratch / "*.env", Deadline::never()).value() ==
        std::vector<std::string>{scratch / "a.env", scratch / "b.env"});
  CHECK(files.matching(scratch / "*.none", Deadline::never()).value().empty());
  CHECK(files.exists(scratch.path(), Deadline::never()).value());
  CHECK_FALSE(files.exists(scratch / "gone", Deadline::never()).value());
  CHECK_FALSE(files.exists(scratch / "a.env/x", Deadline::never()).value());
}

TEST_CASE("no check hangs in the dead file system that one of its files is in") {
  const auto before = children();
  std::vector<Answer> answers;
  Duration took{};
  const std::string problem = with_dead_file_system([&](DeadFileSystem& dead) {
    const std::string path = dead.path() + "/file";
    const auto time = [] { return Deadline::after(200ms); };
    const auto begin = Clock::now();
    answers.push_back(CertificateFileCheck(path, 1s).ask(time()));
    answers.push_back(
        CertificateServerCheck(parse_target("127.0.0.1:1").value(), {.authorities = path}).ask(time()));
    const Url url = parse_url("http://127.0.0.1:1/").value();
    answers.push_back(HttpCheck::create({.url = url, .bearer_file = path}, {}).value()->ask(time()));
    answers.push_back(HttpCheck::create({.url = url, .ca_file = path}, {}).value()->ask(time()));
    answers.push_back(
        MetricCheck(MetricExpression::parse("a").value(), {.max = 1}, make_metric_file(path)).ask(time()));
    for (const auto& file : {path, dead.path() + "/*"}) {
      UnitState unit;
      unit.name = "demo.service";
      unit.environment_files = {{file}};
      FileApart files;
      answers.push_back(EnvironmentCheck::judge(
          unit, {"A"}, [] { return Result<std::vector<std::string>>(); }, files, time()));
    }
    took = std::chrono::duration_cast<Duration>(Clock::now() - begin);
    dead.abort();
  });
  if (!problem.empty()) {
    WARN("cannot be tested here: " << problem);
    SUCCEED();
    return;
  }
  CHECK(took < 60s);
  REQUIRE(answers.size() == 7);
  for (const auto& answer : answers) {
    INFO(answer.sentence);
    CHECK(answer.verdict == Verdict::no);
    CHECK(answer.reason == "timeout");
    CHECK(answer.sentence.ends_with(": its file system does not answer within 200ms"));
  }
  CHECK(no_more_children(before, Deadline::after(10s)));
}
