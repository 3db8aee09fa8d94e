#include "unit_links.hpp"

#include "catch.hpp"
#include "scratch.hpp"

#include <filesystem>

using namespace safe_deploy;

namespace {

// An app in a directory of its own: releases/1 with two files, and `current`, which leads there.
struct Disk : Scratch {
  Disk() {
    write("releases/1/bin/server", "");
    write("releases/1/server.js", "");
    link("releases/1", "current");
  }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, *this / name);
  }
  [[nodiscard]] UnitState starts(const std::string& command, const std::string& directory = "") const {
    UnitState unit;
    unit.name = "demo.service";
    unit.exec_start = command + " ";
    unit.working_directory = directory;
    return unit;
  }
};

std::string problem(const Result<Layout>& layout) {
  REQUIRE_FALSE(layout);
  CHECK(layout.error().outcome() == Outcome::no);
  return layout.error().text();
}

using Strings = std::vector<std::string>;

} // namespace

TEST_CASE("the symlinks on the way to a file are found, those behind others as well") {
  const Disk disk;
  disk.link("current/bin/server", "start");
  const auto ways = links_on_way(disk / "start");
  REQUIRE(ways.size() == 2);
  CHECK(ways[0].link == disk / "start");
  CHECK(ways[0].rest.empty());
  CHECK(ways[1].link == disk / "current");
  CHECK(ways[1].target == disk / "releases/1");
  CHECK(ways[1].rest == "bin/server");
}

TEST_CASE("symlinks in a circle, and what does not exist, come to an end") {
  const Disk disk;
  disk.link("b", "a");
  disk.link("a", "b");
  CHECK(links_on_way(disk / "a/x").size() == 2);
  CHECK(links_on_way(disk / "missing/x").empty());
  CHECK(links_on_way("relative/current").empty());
  CHECK(links_on_way("").empty());
}

TEST_CASE("the paths of a start are its directory and what its words hold") {
  const Disk disk;
  CHECK(paths_of_start(disk.starts("/usr/bin/node --root=/srv/a/current server.js", "/srv/a")) ==
        Strings{"/srv/a", "/usr/bin/node", "/srv/a/current"});
  CHECK(paths_of_start(disk.starts("/bin/sh -c 'exec \"/srv/a/current/run\"'", "!/srv/b/")) ==
        Strings{"/srv/b", "/bin/sh", "/srv/a/current/run"});
  CHECK(paths_of_start(disk.starts("")).empty());
}

TEST_CASE("a unit starts through the link by whatever name") {
  const Disk disk;
  const std::string link = disk / "current";
  CHECK(starts_through(disk.starts(disk / "current/bin/server"), link));
  CHECK(starts_through(disk.starts("/usr/bin/node server.js", link), link));
  CHECK(starts_through(disk.starts("/nowhere/at/all --in=" + link), link));
  disk.link("current/bin/server", "start");
  CHECK(starts_through(disk.starts(disk / "start"), link));
  CHECK_FALSE(starts_through(disk.starts(disk / "releases/1/bin/server"), link));
  CHECK_FALSE(starts_through(disk.starts("/bin/true", link + "-other"), link));
}

TEST_CASE("link, releases and what a release holds are read off a unit and the disk") {
  const Disk disk;
  const auto layout = find_layout(disk.starts(disk / "current/bin/server --port 80"), "", "");
  REQUIRE(layout);
  CHECK(layout->link == disk / "current");
  CHECK(layout->releases == disk / "releases");
  CHECK(layout->current == "1");
  CHECK(layout->pattern.empty());
  CHECK(layout->require == Strings{"bin/server"});
}

TEST_CASE("a script that an interpreter runs is what a release holds, also by the working directory") {
  const Disk disk;
  const Strings script{"server.js"};
  CHECK(find_layout(disk.starts("/usr/bin/node " + disk / "current/server.js"), "", "")->require == script);
  CHECK(find_layout(disk.starts("/usr/bin/node server.js --x", disk / "current"), "", "")->require == script);
  CHECK(
      find_layout(disk.starts("/usr/bin/node ../server.js", disk / "current/bin"), "", "")->require.empty());
}

TEST_CASE("releases beside the link are told from what else is there by their names") {
  const Disk disk;
  disk.write("app/dist.2026/server", "");
  disk.link("dist.2026", "app/current");
  const auto layout = find_layout(disk.starts(disk / "app/current/server"), "", "");
  REQUIRE(layout);
  CHECK(layout->releases == disk / "app");
  CHECK(layout->pattern == "dist.*");
}

TEST_CASE("what cannot be found out names the option that tells it") {
  const Disk disk;
  CHECK(problem(find_layout(disk.starts("/bin/true"), "", "")).find("--link") != std::string::npos);
  CHECK(problem(find_layout(disk.starts(disk / "new/server"), disk / "new", "")).find("--releases") !=
        std::string::npos);
  CHECK(problem(find_layout(disk.starts(disk / "current/bin/server"), "", disk / "gone")).find("--link") !=
        std::string::npos);
  disk.write("two/a/run", "");
  disk.link("two/a", "one");
  CHECK(problem(find_layout(disk.starts(disk / "one/run", disk / "other"), disk / "releases", ""))
            .find("is a directory") != std::string::npos);
}

TEST_CASE("of several links one named current is meant, and else none") {
  const Disk disk;
  disk.write("data/1/x", "");
  disk.link("1", "data/live");
  CHECK(find_layout(disk.starts(disk / "current/bin/server --data " + disk / "data/live/x"), "", "")->link ==
        disk / "current");
  disk.link("../releases/1", "data/other");
  const std::string told =
      problem(find_layout(disk.starts(disk / "data/other/x --data " + disk / "data/live/x"), "", ""));
  CHECK(told.find("several") != std::string::npos);
  CHECK(told.find(disk / "data/other") != std::string::npos);
}

TEST_CASE("the system's own symlinks are no app's, wherever a command names them") {
  const Disk disk;
  disk.link("/", "root");
  for (const char* word :
       {"--pid=/var/run/demo.pid", "--lock=/var/lock/x", "--self=/proc/self/exe", "--in=/bin/sh"})
    CHECK(find_layout(disk.starts(disk / "current/bin/server " + word), "", "")->link == disk / "current");
  CHECK(find_layout(disk.starts(disk / "current/bin/server --in=" + disk / "root/tmp"), "", "")->link ==
        disk / "current");
}

TEST_CASE("a link that is there tells the rest, whatever the unit starts") {
  const Disk disk;
  const auto layout = find_layout(disk.starts("/bin/true"), disk / "current", "");
  REQUIRE(layout);
  CHECK(layout->releases == disk / "releases");
  CHECK(find_layout(disk.starts("/bin/true"), disk / "new", disk / "releases")->current.empty());
}
