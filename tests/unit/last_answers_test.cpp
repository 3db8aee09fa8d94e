#include "last_answers.hpp"

#include "catch.hpp"
#include "fd.hpp"
#include "scratch.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

std::vector<Asking> answers() {
  return {{"port", Answer::yes("demo listens"), {}},
          {"api", Answer::no("status", "answered 503\x1b[2J"), {}},
          {"disk", Answer::warning("full", "92% used"), {}},
          {"pressure", Answer::skipped("no-psi", "not known here"), {}}};
}

LastAnswers read(const Scratch& scratch, const std::string& when) {
  auto last = last_answers(scratch.path(), "demo", when);
  if (!last) FAIL(last.error().text());
  return *last;
}

} // namespace

TEST_CASE("the last answers are kept for each moment") {
  const Scratch scratch;
  CHECK(read(scratch, "monitor").at.empty());
  REQUIRE(keep_answers(scratch.path(), "demo", "monitor", answers()));
  const auto last = read(scratch, "monitor");
  CHECK(last.at.ends_with("Z"));
  REQUIRE(last.answers.size() == 4);
  CHECK(last.answers[0].name == "port");
  CHECK(last.answers[0].verdict == "ok");
  CHECK(last.answers[1].verdict == "failed");
  CHECK(last.answers[1].reason == "status");
  CHECK(last.answers[1].sentence == "answered 503\\x1b[2J");
  CHECK(last.answers[2].verdict == "warning");
  CHECK(last.answers[3].verdict == "skipped");
  CHECK(read(scratch, "health").at.empty());
  struct stat status {};
  REQUIRE(stat((scratch / "demo/checks/monitor.json").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0644U);

  REQUIRE(keep_answers(scratch.path(), "demo", "monitor", {{"port", Answer::yes("demo listens"), {}}}));
  CHECK(read(scratch, "monitor").answers.size() == 1);
  REQUIRE(keep_answers(scratch.path(), "demo", "monitor", {}));
  CHECK(read(scratch, "monitor").answers.empty());
  CHECK_FALSE(read(scratch, "monitor").at.empty());
}

TEST_CASE("answers of no moment, or for which there is no place, are errors") {
  const Scratch scratch;
  CHECK_FALSE(keep_answers(scratch.path(), "demo", "../state", answers()));
  CHECK_FALSE(last_answers(scratch.path(), "demo", ""));
  CHECK_FALSE(keep_answers(scratch / "none", "demo", "health", answers()));
  scratch.write("demo/checks", "a file");
  CHECK_FALSE(keep_answers(scratch.path(), "demo", "health", answers()));
}

TEST_CASE("what cannot be understood is no answer") {
  const Scratch scratch;
  for (const char* text : {"", "{", "[]", "1", R"({"at": "now"})", R"({"at": 1, "answers": []})",
                           R"({"at": "now", "answers": {}})", R"({"answers": [{"name": "port"}]})"}) {
    INFO(text);
    scratch.write("demo/checks/health.json", text);
    CHECK(read(scratch, "health").at.empty());
    CHECK(read(scratch, "health").answers.empty());
  }
  scratch.write("demo/checks/health.json",
                R"({"at": "now\u001b", "answers": [1, {}, {"name": "a\u001b", "verdict": 5}]})");
  const auto last = read(scratch, "health");
  CHECK(last.at == "now\\x1b");
  REQUIRE(last.answers.size() == 1);
  CHECK(last.answers[0].name == "a\\x1b");
  CHECK(last.answers[0].verdict.empty());
  scratch.write("demo/checks/watch.json", std::string(2U << 20U, ' '));
  CHECK(read(scratch, "watch").at.empty());
}

TEST_CASE("what a crash left behind is written over, and who else writes now is left alone") {
  const Scratch scratch;
  scratch.write("demo/checks/.health.json.new", std::string(10000, 'x'));
  REQUIRE(keep_answers(scratch.path(), "demo", "health", answers()));
  CHECK(read(scratch, "health").answers.size() == 4);
  CHECK_FALSE(fs::exists(scratch / "demo/checks/.health.json.new"));

  const std::string path = scratch / "demo/checks/.health.json.new";
  const Fd other(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(flock(other.get(), LOCK_EX) == 0);
  REQUIRE(keep_answers(scratch.path(), "demo", "health", {}));
  CHECK(read(scratch, "health").answers.size() == 4);
  CHECK(fs::exists(path));
}
