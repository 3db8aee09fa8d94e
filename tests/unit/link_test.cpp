#include "link.hpp"

#include "catch.hpp"
#include "scratch.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

using namespace safe_deploy;
namespace fs = std::filesystem;

TEST_CASE("a link is created and pointed somewhere else, its text kept as given") {
  const Scratch scratch;
  REQUIRE(point_link(scratch / "current", "releases/v1", true));
  CHECK(read_link(scratch / "current").value() == "releases/v1");
  REQUIRE(point_link(scratch / "current", "/srv/v2/", false));
  CHECK(read_link(scratch / "current").value() == "/srv/v2/");
}

TEST_CASE("what is no link is refused and nothing is put inside") {
  const Scratch scratch;
  fs::create_directory(scratch / "directory");
  scratch.write("file", "content");
  for (const char* name : {"directory", "file"}) {
    const auto pointed = point_link(scratch / name, "v1", true);
    REQUIRE_FALSE(pointed);
    CHECK(pointed.error().outcome() == Outcome::no);
  }
  CHECK(fs::is_empty(scratch / "directory"));
  CHECK(scratch.read("file") == "content");
}

TEST_CASE("a left-over temporary link of a process that is gone is removed, not used") {
  const Scratch scratch;
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  (void)waitpid(gone, nullptr, 0);
  const std::string left_over = scratch / (".current.safe-deploy." + std::to_string(gone));
  const std::string in_use = scratch / (".current.safe-deploy." + std::to_string(getppid()));
  const std::string foreign = scratch / ".current.safe-deploy.backup";
  for (const auto& path : {left_over, in_use, foreign}) fs::create_symlink("old", path);
  REQUIRE(point_link(scratch / "current", "v2", true));
  CHECK(read_link(scratch / "current").value() == "v2");
  CHECK_FALSE(fs::is_symlink(left_over));
  CHECK(fs::is_symlink(in_use));
  CHECK(fs::is_symlink(foreign));
}

TEST_CASE("readers never miss the link while it moves") {
  const Scratch scratch;
  for (const char* name : {"v1", "v2"}) fs::create_directory(scratch / name);
  REQUIRE(point_link(scratch / "current", "v1", false));
  std::atomic<bool> done = false;
  std::atomic<unsigned> misses = 0;
  std::thread reader([&] {
    while (!done)
      if (access((scratch / "current").c_str(), F_OK) != 0) ++misses;
  });
  for (int i = 0; i < 2000; ++i) REQUIRE(point_link(scratch / "current", i % 2 == 0 ? "v2" : "v1", false));
  done = true;
  reader.join();
  CHECK(misses == 0);
}

TEST_CASE("compare and swap keeps its hands off another value") {
  const Scratch scratch;
  for (const char* name : {"v1", "v2", "v3"}) fs::create_directory(scratch / name);
  REQUIRE(point_link(scratch / "current", "v1", false));
  LinkChange change{.target = "v2", .link = scratch / "current", .expect = "v3", .save = {}};
  auto moved = change_link(change);
  REQUIRE_FALSE(moved);
  CHECK(moved.error().outcome() == Outcome::no);
  CHECK(read_link(scratch / "current").value() == "v1");
  change.expect = "v1";
  REQUIRE(change_link(change));
  CHECK(read_link(scratch / "current").value() == "v2");
}

TEST_CASE("save points a second link at the old target, wherever it is") {
  const Scratch scratch;
  for (const char* name : {"v1", "v2", "elsewhere"}) fs::create_directory(scratch / name);
  REQUIRE(point_link(scratch / "current", "v1", false));
  REQUIRE(
      change_link({.target = "v2", .link = scratch / "current", .expect = {}, .save = scratch / "previous"}));
  CHECK(read_link(scratch / "previous").value() == "v1");
  REQUIRE(change_link(
      {.target = "v1", .link = scratch / "current", .expect = {}, .save = scratch / "elsewhere/last"}));
  CHECK(fs::canonical(scratch / "elsewhere/last") == fs::canonical(scratch / "v2"));
}

TEST_CASE("a target that does not exist is refused unless allowed, a dry run changes nothing") {
  const Scratch scratch;
  LinkChange change{.target = "v9", .link = scratch / "current", .expect = {}, .save = {}};
  REQUIRE_FALSE(change_link(change));
  CHECK_FALSE(read_link(scratch / "current").value());
  change.allow_dangling = true;
  change.dry_run = true;
  CHECK(change_link(change).value().changed);
  CHECK_FALSE(read_link(scratch / "current").value());
  change.dry_run = false;
  REQUIRE(change_link(change));
  CHECK(read_link(scratch / "current").value() == "v9");
  CHECK_FALSE(change_link(change).value().changed);
}

TEST_CASE("a link's owner stays the same") {
  if (geteuid() != 0) return;
  const Scratch scratch;
  fs::create_symlink("v1", scratch / "current");
  REQUIRE(lchown((scratch / "current").c_str(), 12345, 54321) == 0);
  REQUIRE(point_link(scratch / "current", "v2", false));
  struct stat status {};
  REQUIRE(lstat((scratch / "current").c_str(), &status) == 0);
  CHECK(status.st_uid == 12345);
  CHECK(status.st_gid == 54321);
}

TEST_CASE("a link to itself is refused") {
  const Scratch scratch;
  const std::string link = scratch / "current";
  REQUIRE(point_link(link, "v1", false));
  for (const std::string& target : {link, std::string("current")}) {
    const auto refused =
        change_link({.target = target, .link = link, .expect = {}, .save = {}, .allow_dangling = true});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().outcome() == Outcome::no);
  }
  CHECK(change_link({.target = "v2", .link = link, .expect = {}, .save = link, .allow_dangling = true})
            .error()
            .outcome() == Outcome::usage);
  CHECK(read_link(link).value() == "v1");
}
