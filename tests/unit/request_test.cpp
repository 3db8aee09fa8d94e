#include "request.hpp"

#include "catch.hpp"
#include "host.hpp"
#include "json.hpp"
#include "swap.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

using namespace safe_deploy;

namespace {

constexpr uid_t somebody = 12345;

struct Asking : Host {
  Asking() : Host({"v1", "v2"}) {
    std::filesystem::create_directory(places.run_dir);
    REQUIRE(make_request_directory(places.run_dir, "app"));
  }
  [[nodiscard]] std::string in(const std::string& name) const { return scratch / ("run/app/" + name); }
  [[nodiscard]] Result<std::optional<Request>> read() const {
    return read_request(places.run_dir, config, RequestKind::deploy);
  }
  [[nodiscard]] Request leave(Request request) const {
    REQUIRE(leave_request(places.run_dir, "app", RequestKind::deploy, request));
    const auto found = read();
    REQUIRE(found);
    REQUIRE(*found);
    return **found;
  }
  // What is in the place of the request is refused, and named.
  void refuses(const std::string& what) const {
    const auto found = read();
    REQUIRE_FALSE(found);
    CHECK(found.error().outcome() == Outcome::no);
    CHECK(found.error().text().find(in("next")) != std::string::npos);
    CHECK(found.error().text().find(what) != std::string::npos);
    CHECK(has_request(places.run_dir, "app", RequestKind::deploy).value());
    // A directory that holds something could be filled for ever by whose it is: that is left to the units'
    // end.
    const bool is_full = std::filesystem::is_directory(std::filesystem::symlink_status(in("next"))) &&
                         !std::filesystem::is_empty(in("next"));
    drop_request(places.run_dir, "app", RequestKind::deploy);
    CHECK(std::filesystem::exists(std::filesystem::symlink_status(in("next"))) == is_full);
  }
  void tells(const std::string& asked) const { scratch.write("run/app/next.asked", asked); }
};

} // namespace

TEST_CASE("a request is a release's name, and whose the symlink is asked for it") {
  const Asking host;
  CHECK_FALSE(host.read().value());
  CHECK_FALSE(has_request(host.places.run_dir, "app", RequestKind::deploy).value());
  const Request found = host.leave({.release = "v2", .force = false, .by = {{}, "", "ann", "CI"}});
  CHECK(found.release == "v2");
  CHECK_FALSE(found.force);
  CHECK(found.by.uid == geteuid());
  CHECK(found.by.user == user_name(geteuid()));
  CHECK(found.by.sudo_user == "ann");
  CHECK(found.by.job == "CI");
  drop_request(host.places.run_dir, "app", RequestKind::deploy);
  CHECK_FALSE(host.read().value());
  CHECK(std::filesystem::is_empty(host.scratch / "run/app"));
}

TEST_CASE("the path of a release is as good as its name") {
  const Asking host;
  host.request("next", host.config.releases + "/v1");
  CHECK(host.read().value()->release == "v1");
}

TEST_CASE("the directory of requests is the group's to write to, and what is in it its owner's") {
  const Asking host;
  struct stat status {};
  REQUIRE(stat((host.scratch / "run/app").c_str(), &status) == 0);
  CHECK((status.st_mode & 01777U) == 01775);
  // One that an earlier version has made.
  std::filesystem::permissions(host.scratch / "run/app", std::filesystem::perms(0755));
  REQUIRE(make_request_directory(host.places.run_dir, "app"));
  REQUIRE(stat((host.scratch / "run/app").c_str(), &status) == 0);
  CHECK((status.st_mode & 01777U) == 01775);
}

TEST_CASE("whatever else is left in the place of a request is refused, and removed with it") {
  const Asking host;
  SECTION("a FIFO, which must not be waited for") {
    REQUIRE(mkfifo(host.in("next").c_str(), 0666) == 0);
    host.refuses("is a file, not a symlink");
  }
  SECTION("a file") {
    host.scratch.write("run/app/next", "v2");
    host.refuses("is a file, not a symlink");
  }
  SECTION("a directory with something in it") {
    host.scratch.write("run/app/next/v2/file", "");
    host.refuses("is a directory, not a symlink");
  }
  SECTION("names that are none") {
    for (const std::string text :
         {"../x", "/etc", "../../etc/shadow", ".", "..", "-x", "--force", "a/b", "a\nb", "\x1b[2J"}) {
      host.request("next", text);
      host.refuses("is not a release's name");
    }
  }
  SECTION("a path out of the releases") {
    host.request("next", host.config.releases + "/../../etc");
    host.refuses("is not a release's name");
  }
  SECTION("a name as long as a path") {
    host.request("next", std::string(4095, 'x'));
    host.refuses("is not a release's name");
  }
  SECTION("a symlink with a second name, which may be somebody else's request") {
    host.request("other", "v2");
    std::filesystem::create_hard_link(host.in("other"), host.in("next"));
    host.refuses("has another name");
  }
}

TEST_CASE("a request takes the place of whatever is there") {
  const Asking host;
  std::filesystem::create_directory(host.in("next"));
  std::filesystem::create_directory(host.in("next.asked"));
  CHECK(host.leave({.release = "v1"}).release == "v1");
  CHECK(host.leave({.release = "v2"}).release == "v2");
}

TEST_CASE("a directory that holds something is in the way of a request, and is not emptied") {
  const Asking host;
  host.scratch.write("run/app/next/deep/file", "");
  CHECK_FALSE(leave_request(host.places.run_dir, "app", RequestKind::deploy, {.release = "v1"}));
  CHECK(std::filesystem::exists(host.in("next/deep/file")));
}

TEST_CASE("what an asker tells of himself is believed as far as it goes") {
  const Asking host;
  host.request("next", "v2");
  const auto job = [&] { return host.read().value()->by.job; };
  host.tells(R"({"release": "v2", "job": "CI"})");
  CHECK(job() == "CI");
  SECTION("what is no JSON, no object, too long or has other keys is nothing") {
    for (const std::string& text :
         {std::string("CI"), std::string("[1]"), std::string(R"({"release": "v2", "job": "CI", "more": 1})"),
          std::string(R"({"release": "v2", "job": ["CI"]})"), std::string(R"({"job": "CI"})"),
          std::string(4096, '['), R"({"release": "v2", "job": ")" + std::string(5000, 'x') + "\"}"}) {
      host.tells(text);
      CHECK(job().empty());
    }
  }
  SECTION("nor is what is about another release") {
    host.tells(R"({"release": "v1", "job": "CI"})");
    CHECK(job().empty());
  }
  SECTION("nor what is no file, or somewhere else") {
    std::filesystem::remove(host.in("next.asked"));
    REQUIRE(mkfifo(host.in("next.asked").c_str(), 0666) == 0);
    CHECK(job().empty());
    std::filesystem::remove(host.in("next.asked"));
    host.scratch.write("elsewhere", R"({"release": "v2", "job": "CI"})");
    std::filesystem::create_symlink(host.scratch / "elsewhere", host.in("next.asked"));
    CHECK(job().empty());
  }
  SECTION("it is made printable, and cut") {
    host.tells(R"({"release": "v2", "job": "\u001b[2J)" + std::string(3000, 'x') +
               R"(", "sudo_user": "a\nb"})");
    CHECK(job().starts_with("\\x1b[2Jx"));
    CHECK(job().size() < 500);
    CHECK(host.read().value()->by.sudo_user == "a\\x0ab");
  }
}

TEST_CASE("force is believed of root only") {
  const Asking host;
  CHECK(host.leave({.release = "v2", .force = true}).force == (geteuid() == 0));
  if (geteuid() != 0) return; // cannot give files away
  REQUIRE(lchown(host.in("next.asked").c_str(), somebody, somebody) == 0);
  CHECK_FALSE(host.read().value()->force);
  REQUIRE(lchown(host.in("next").c_str(), somebody, somebody) == 0);
  CHECK_FALSE(host.read().value()->force);
  CHECK(host.read().value()->by.uid == somebody);
  // A root's file beside somebody's symlink is none of his.
  REQUIRE(lchown(host.in("next.asked").c_str(), 0, 0) == 0);
  CHECK_FALSE(host.read().value()->force);
}

TEST_CASE("the history tells who asked, and that it was forced") {
  const Asking host;
  host.deploy("v1");
  REQUIRE(leave_request(host.places.run_dir, "app", RequestKind::deploy,
                        {.release = "v1", .force = true, .by = {{}, "", "ann", "GitLab CI x#1"}}));
  if (geteuid() != 0) return;
  CHECK(is_outdated(host.config, host.places).value());
  REQUIRE(swap_to_release(host.config, host.places, {}));
  const auto lines = Ledger::history(host.places.state_dir, "app").value();
  const Json line = parse_json(lines[lines.size() - 2]);
  CHECK(line["event"] == "swap-intended");
  CHECK(to_text(line["by"]) == R"({"uid":0,"user":"root","sudo_user":"ann","job":"GitLab CI x#1"})");
  CHECK(line["forced"] == true);
  CHECK_FALSE(parse_json(lines.back()).contains("by"));
  CHECK_FALSE(parse_json(lines.front()).contains("by"));
  // A request is for one deploy.
  CHECK_FALSE(has_request(host.places.run_dir, "app", RequestKind::deploy).value());
  CHECK_FALSE(std::filesystem::exists(host.in("next.asked")));
}

TEST_CASE("garbage in the place of a request does not keep a candidate that fails") {
  const Asking host;
  host.deploy("v1");
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v2"}));
  host.request("rollback", "../../etc");
  REQUIRE(has_request(host.places.run_dir, "app", RequestKind::rollback).value());
  const auto moved = roll_back(host.config, host.places, {});
  REQUIRE(moved);
  CHECK(moved->release == "v1");
  CHECK(moved->note.find("is not a release's name") != std::string::npos);
  host.pass();
  // At rest it is what somebody asks for.
  host.request("next", "../../etc");
  host.add("v3");
  CHECK(swap_to_release(host.config, host.places, {}).error().outcome() == Outcome::no);
}
