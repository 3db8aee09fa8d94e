#include "catch.hpp"
#include "checks/make.hpp"
#include "checks/path_check.hpp"
#include "dead_file_system.hpp"
#include "scratch.hpp"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <filesystem>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t file = 0;
constexpr std::size_t directory = 1;
constexpr std::size_t socket_type = 2;
constexpr std::size_t fifo = 3;
constexpr std::size_t symlink_type = 4;
constexpr std::size_t device = 5;

Answer ask(PathQuestion question) {
  return PathCheck(std::move(question)).ask(Deadline::after(10s));
}

// A file that was modified so long before now, or after it.
std::string file_of_age(const Scratch& scratch, std::time_t seconds) {
  scratch.write("file", "x");
  REQUIRE(chmod((scratch / "file").c_str(), 0640) == 0);
  const timespec at{std::time(nullptr) - seconds, 0};
  const std::array<timespec, 2> times{at, at};
  REQUIRE(utimensat(AT_FDCWD, (scratch / "file").c_str(), times.data(), 0) == 0);
  return scratch / "file";
}

Result<std::shared_ptr<Check>> made(std::vector<Setting> settings) {
  CheckSection section;
  section.kind = "path";
  section.settings = std::move(settings);
  return make_check(section, {.app = "demo"});
}

} // namespace

TEST_CASE("a path that exists is told with what it is") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 0);
  const Answer answer = ask({.path = path});
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence ==
        path + ": a file of " + std::to_string(geteuid()) + ":" + std::to_string(getegid()) + ", mode 0640");
  CHECK(answer.figures.empty());
}

TEST_CASE("a path that does not exist is a no, and a symlink to nothing is told as one") {
  const Scratch scratch;
  CHECK(ask({.path = scratch / "gone"}).reason == "missing");
  CHECK(ask({.path = scratch / "gone"}).sentence == scratch / "gone" + ": does not exist");
  std::filesystem::create_symlink("gone", scratch / "link");
  const Answer dangling = ask({.path = scratch / "link"});
  CHECK(dangling.verdict == Verdict::no);
  CHECK(dangling.reason == "missing");
  CHECK(dangling.sentence == scratch / "link" + ": is a symlink to something that does not exist");
  CHECK(ask({.path = scratch / "link", .type = symlink_type}).verdict == Verdict::yes);
  CHECK(ask({.path = scratch / "link/x"}).sentence == scratch / "link/x" + ": does not exist");
  std::filesystem::create_symlink("round", scratch / "round");
  CHECK(ask({.path = scratch / "round"}).reason == "unreadable");
  CHECK(ask({.path = scratch / "round"}).verdict == Verdict::no);
}

TEST_CASE("each type is told from the others") {
  const Scratch scratch;
  const std::string regular = file_of_age(scratch, 0);
  std::filesystem::create_symlink("file", scratch / "link");
  REQUIRE(mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  const Fd bound(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (scratch / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);

  CHECK(ask({.path = regular, .type = file}).verdict == Verdict::yes);
  CHECK(ask({.path = scratch / "link", .type = file}).verdict == Verdict::yes); // followed
  CHECK(ask({.path = scratch / "link", .type = symlink_type}).verdict == Verdict::yes);
  CHECK(ask({.path = scratch.path(), .type = directory}).verdict == Verdict::yes);
  CHECK(ask({.path = scratch / "fifo", .type = fifo}).verdict == Verdict::yes);
  CHECK(ask({.path = scratch / "socket", .type = socket_type}).verdict == Verdict::yes);
  CHECK(ask({.path = "/dev/null", .type = device}).verdict == Verdict::yes);

  const Answer wrong = ask({.path = regular, .type = directory});
  CHECK(wrong.verdict == Verdict::no);
  CHECK(wrong.reason == "type");
  CHECK(wrong.sentence == regular + ": is a file, not a directory");
  CHECK(ask({.path = regular, .type = symlink_type}).reason == "type");
}

TEST_CASE("the owner is compared by name and by number") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 0);
  const std::string uid = std::to_string(geteuid());
  const std::string gid = std::to_string(getegid());
  CHECK(ask({.path = path, .owner = {uid, gid}}).verdict == Verdict::yes);
  CHECK(ask({.path = path, .owner = {"", gid}}).verdict == Verdict::yes);
  CHECK(ask({.path = "/etc/passwd", .owner = {"root", "root"}}).verdict == Verdict::yes);

  const Answer user = ask({.path = "/etc/passwd", .owner = {"daemon", ""}});
  CHECK(user.verdict == Verdict::no);
  CHECK(user.reason == "owner");
  CHECK(user.sentence == "/etc/passwd: belongs to uid 0, not to daemon (1)");
  CHECK(ask({.path = "/etc/passwd", .owner = {"root", "12345"}}).sentence ==
        "/etc/passwd: belongs to gid 0, not to 12345");
}

TEST_CASE("a name that nobody has is a no that says so") {
  const Answer user = ask({.path = "/etc/passwd", .owner = {"no-such-user", ""}});
  CHECK(user.verdict == Verdict::no);
  CHECK(user.reason == "owner");
  CHECK(user.sentence == "/etc/passwd: there is no user 'no-such-user'");
  CHECK(ask({.path = "/etc/passwd", .owner = {"", "no-such-group"}}).sentence ==
        "/etc/passwd: there is no group 'no-such-group'");
}

TEST_CASE("the mode is these bits and no others") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 0);
  CHECK(ask({.path = path, .mode = 0640}).verdict == Verdict::yes);
  const Answer wrong = ask({.path = path, .mode = 0600});
  CHECK(wrong.verdict == Verdict::no);
  CHECK(wrong.reason == "mode");
  CHECK(wrong.sentence == path + ": its mode is 0640, not 0600");
  REQUIRE(chmod(path.c_str(), 04640) == 0);
  CHECK(ask({.path = path, .mode = 0640}).sentence == path + ": its mode is 4640, not 0640");
}

TEST_CASE("what everybody may change is no good, unless that is said to be right") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 0);
  REQUIRE(chmod(path.c_str(), 0646) == 0);
  const Answer open = ask({.path = path});
  CHECK(open.verdict == Verdict::no);
  CHECK(open.reason == "world-writable");
  CHECK(open.sentence == path + ": everybody may write to this file (mode 0646)");
  CHECK(ask({.path = path, .world_writable = true}).verdict == Verdict::yes);
  CHECK(ask({.path = path, .mode = 0646}).verdict == Verdict::yes);

  std::filesystem::create_directory(scratch / "open");
  REQUIRE(chmod((scratch / "open").c_str(), 0777) == 0);
  CHECK(ask({.path = scratch / "open"}).reason == "world-writable");
  REQUIRE(chmod((scratch / "open").c_str(), 01777) == 0);
  CHECK(ask({.path = scratch / "open"}).verdict == Verdict::yes);

  std::filesystem::create_symlink("file", scratch / "link");
  CHECK(ask({.path = scratch / "link"}).reason == "world-writable"); // the file is
  CHECK(ask({.path = scratch / "link", .type = symlink_type}).verdict == Verdict::yes);
  REQUIRE(mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  REQUIRE(chmod((scratch / "fifo").c_str(), 0666) == 0);
  CHECK(ask({.path = scratch / "fifo"}).verdict == Verdict::yes);
  CHECK(ask({.path = "/dev/null"}).verdict == Verdict::yes);
}

TEST_CASE("the age is that of the last change of the content") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 7200);
  const Answer young = ask({.path = path, .age_max = 3h});
  CHECK(young.verdict == Verdict::yes);
  CHECK(young.sentence.find(", modified 2h ago, at most 3h allowed") != std::string::npos);
  REQUIRE(young.figures.size() == 1);
  CHECK(young.figures[0].name == "age");
  CHECK(young.figures[0].unit == "s");
  CHECK(young.figures[0].value >= 7200);
  const Answer old = ask({.path = path, .age_max = 1h});
  CHECK(old.verdict == Verdict::no);
  CHECK(old.reason == "age");
  CHECK(old.sentence == path + ": was modified 2h ago, at most 1h allowed");
}

TEST_CASE("a time in the future counts as now, and is told") {
  const Scratch scratch;
  const Answer answer = ask({.path = file_of_age(scratch, -36000), .age_max = 1s});
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence.find(", modified 9h 59m in the future (counts as now)") != std::string::npos);
  CHECK(answer.figures[0].value == 0);
}

TEST_CASE("a time that cannot be is no trouble") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 0);
  for (const std::time_t when : {std::time_t{0}, std::time_t{INT64_MAX}, std::time_t{INT64_MIN}}) {
    const std::array<timespec, 2> times{timespec{when, 0}, timespec{when, 0}};
    if (utimensat(AT_FDCWD, path.c_str(), times.data(), 0) < 0) continue; // the file system takes what it can
    const Answer answer = ask({.path = path, .age_max = 1h});
    CHECK(answer.reason == (when > 0 ? "ok" : "age"));
  }
}

TEST_CASE("a path that may not be seen is skipped, with why") {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "closed/below");
  std::filesystem::permissions(scratch / "closed", std::filesystem::perms::none);
  Answer answer;
  std::thread([&] {
    (void)setfsuid(65534); // root may see everything; this is of the thread, and of its children
    answer = ask({.path = scratch / "closed/below"});
  }).join();
  std::filesystem::permissions(scratch / "closed", std::filesystem::perms::owner_all);
  CHECK(answer.verdict == Verdict::skipped);
  CHECK(answer.reason == "permission");
}

TEST_CASE("names that would spoil a message are shown harmlessly") {
  const Answer answer = ask({.path = "/nonexistent/\x1b[31m"});
  CHECK(answer.sentence == "/nonexistent/\\x1b[31m: does not exist");
}

TEST_CASE("a path check is made of its section") {
  const Scratch scratch;
  const std::string path = file_of_age(scratch, 0);
  const auto check = made({{"path", path, {}},
                           {"type", "file", {}},
                           {"owner", std::to_string(geteuid()), {}},
                           {"mode", "640", {}},
                           {"age-max", "1d", {}}});
  REQUIRE(check);
  CHECK((*check)->ask(Deadline::after(10s)).verdict == Verdict::yes);
  REQUIRE(chmod(path.c_str(), 0666) == 0);
  CHECK((*check)->ask(Deadline::after(10s)).reason == "mode");
  CHECK((*made({{"path", path, {}}}))->ask(Deadline::after(10s)).reason == "world-writable");
  CHECK((*made({{"path", path, {}}, {"world-writable", "yes", {}}}))->ask(Deadline::after(10s)).verdict ==
        Verdict::yes);

  // What is put in for ${release} may make another path of it.
  const auto relative = made({{"path", "${app}/x", {"demo.conf", 4}}});
  REQUIRE_FALSE(relative);
  CHECK(relative.error().outcome() == Outcome::bad_config);
  CHECK(relative.error().text() == "demo.conf:4: path: 'demo/x': is not an absolute path");

  const auto link = made({{"path", path, {}}, {"type", "symlink", {}}, {"mode", "0777", {"demo.conf", 9}}});
  REQUIRE_FALSE(link);
  CHECK(link.error().outcome() == Outcome::bad_config);
  CHECK(link.error().text() == "demo.conf:9: mode: says nothing of a symlink, whose mode is always 0777");
}

TEST_CASE("a path on a file system that is dead costs its time and no more") {
  const auto before = children();
  Answer first;
  Answer second;
  std::string expected;
  std::set<std::string> asked_twice;
  int taken = 0;
  const std::string problem = with_dead_file_system([&](DeadFileSystem& dead) {
    PathCheck check({.path = dead.path() + "/file"});
    first = check.ask(Deadline::after(2s));
    second = check.ask(Deadline::after(100ms));
    asked_twice = more_children(before);
    taken = dead.taken();
    dead.abort();
    expected = dead.path() + "/file: its file system does not answer within 2s";
  });
  if (!problem.empty()) {
    WARN("cannot be tested here: " << problem);
    SUCCEED();
    return;
  }
  CHECK(taken >= 1);
  CHECK(first.verdict == Verdict::no);
  CHECK(first.reason == "timeout");
  CHECK(first.sentence == expected);
  CHECK(second.reason == "timeout");
  CHECK(asked_twice.size() == 1);
  CHECK(no_more_children(before, Deadline::after(10s)));
}
