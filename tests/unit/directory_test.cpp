#include "directory.hpp"

#include "catch.hpp"
#include "scratch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

constexpr uid_t nobody = 65534;

void give_to_nobody(const std::string& path) {
  REQUIRE(lchown(path.c_str(), nobody, nobody) == 0);
}

bool opens(const std::string& path) {
  return open_directory(path).has_value();
}

} // namespace

TEST_CASE("a directory is opened through links that only root can have put") {
  const Scratch scratch;
  fs::create_directories(scratch / "place/inner");
  fs::create_symlink("place", scratch / "relative");
  fs::create_symlink(scratch / "place", scratch / "absolute");
  fs::create_symlink("absolute/inner/..", scratch / "chain");
  for (const char* link : {"relative", "absolute", "chain", "place/../relative/inner", "place//./inner"}) {
    INFO(link);
    CHECK(opens(scratch / link));
  }
  fs::create_symlink("loop", scratch / "loop");
  CHECK(open_directory(scratch / "loop").error().code == std::errc::too_many_symbolic_link_levels);
  CHECK(open_directory(scratch / "none").error().code == std::errc::no_such_file_or_directory);
  scratch.write("file", "");
  CHECK(open_directory(scratch / "file").error().code == std::errc::not_a_directory);
}

TEST_CASE("a link that somebody else can have put is not followed by root") {
  if (geteuid() != 0) return;
  const Scratch scratch;
  fs::create_directories(scratch / "home/real/inner");
  fs::create_symlink("real", scratch / "home/link");
  CHECK(opens(scratch / "home/link"));

  give_to_nobody(scratch / "home");
  CHECK(opens(scratch / "home/real/inner"));
  for (const char* path : {"home/link", "home/link/inner"}) {
    const auto refused = open_directory(scratch / path);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().outcome() == Outcome::no);
    CHECK(refused.error().text().find("is reached through 'link', a symlink that others than root") !=
          std::string::npos);
  }
  // Writable for a group or for all is the same, unless the sticky bit keeps root's own from being replaced.
  REQUIRE(chown((scratch / "home").c_str(), 0, 0) == 0);
  for (const mode_t mode : {0775U, 0757U}) {
    REQUIRE(chmod((scratch / "home").c_str(), mode) == 0);
    CHECK_FALSE(opens(scratch / "home/link"));
  }
  REQUIRE(chmod((scratch / "home").c_str(), 01777) == 0);
  CHECK(opens(scratch / "home/link"));
  give_to_nobody(scratch / "home/link");
  CHECK_FALSE(opens(scratch / "home/link"));
}

TEST_CASE("a tree is deleted whole, and nothing that its links lead to") {
  const Scratch scratch;
  scratch.write("outside/file", "kept");
  scratch.write("tree/a/b/c/file", "");
  scratch.write("tree/a/file", "");
  scratch.write("tree/.hidden/file", "");
  fs::create_directory_symlink(scratch / "outside", scratch / "tree/a/link");
  fs::create_symlink(scratch / "outside/file", scratch / "tree/link");
  const auto directory = open_directory(scratch.path());
  REQUIRE(remove_tree_at(directory->get(), "tree", "tree"));
  CHECK_FALSE(fs::exists(scratch / "tree"));
  CHECK(scratch.read("outside/file") == "kept");

  fs::create_directory_symlink("outside", scratch / "tree");
  REQUIRE(remove_tree_at(directory->get(), "tree", "tree"));
  CHECK_FALSE(fs::is_symlink(scratch / "tree"));
  CHECK(scratch.read("outside/file") == "kept");
  CHECK(remove_tree_at(directory->get(), "none", "none"));
}

TEST_CASE("a tree of any depth is deleted") {
  const Scratch scratch;
  constexpr int depth = 3000; // of paths that are longer than any path may be
  fs::create_directory(scratch / "tree");
  const auto top = open_directory(scratch.path());
  Fd at(openat(top->get(), "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < depth; ++i) {
    REQUIRE(mkdirat(at.get(), "directory", 0755) == 0);
    at.reset(openat(at.get(), "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
  }
  static_assert(depth * sizeof "directory" > PATH_MAX);
  REQUIRE(remove_tree_at(top->get(), "tree", "tree"));
  CHECK_FALSE(fs::exists(scratch / "tree"));
}

TEST_CASE("what is below a directory is so by where it is, not by its name") {
  const Scratch scratch;
  scratch.write("release/bin/server", "");
  fs::create_symlink("bin/server", scratch / "release/inside");
  fs::create_symlink("../secret", scratch / "release/outside");
  scratch.write("secret", "");
  const auto release = open_directory(scratch / "release");
  CHECK(exists_beneath(release->get(), "bin/server", "release").value());
  CHECK(exists_beneath(release->get(), "inside", "release").value());
  CHECK_FALSE(exists_beneath(release->get(), "outside", "release").value());
  CHECK_FALSE(exists_beneath(release->get(), "../secret", "release").value());
  CHECK_FALSE(exists_beneath(release->get(), "none", "release").value());
}
