#include "prune.hpp"

#include "catch.hpp"
#include "host.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

Pruned prune_of(const Host& host, std::uint64_t keep, std::span<const Config> others = {}) {
  const auto pruned = prune(host.config, host.places, others, {.keep = keep});
  if (!pruned) FAIL(pruned.error().text());
  for (const auto& failure : pruned->failures) FAIL_CHECK(failure.text());
  return *pruned;
}

void mark(const Host& host, const std::string& release, Mark verdict) {
  host.step([&](State& s, const Moment& now) { return step::mark(s, release, verdict, "", now); });
}

Names left(const Host& host) {
  return Releases::open(host.config).value().names();
}

// A process in a directory of its own; ends with the object.
class Sleeper {
 public:
  explicit Sleeper(const std::string& directory) : pid_(fork()) {
    if (pid_ != 0) return;
    if (chdir(directory.c_str()) == 0) (void)pause();
    _exit(1);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() {
    (void)kill(pid_, SIGKILL);
    (void)waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_in(const std::string& directory) const {
    std::error_code ignored;
    return fs::read_symlink("/proc/" + std::to_string(pid_) + "/cwd", ignored) == directory;
  }

 private:
  pid_t pid_;
};

} // namespace

TEST_CASE("as many good releases are kept as asked for, and bad ones do not count") {
  const Host host({"v1", "v2", "v3", "v4", "v5", "v6"});
  for (const char* name : {"v1", "v2", "v4", "v6"}) host.deploy(name);
  for (const char* name : {"v3", "v5"}) mark(host, name, Mark::bad);
  CHECK(prune_of(host, 2).removed == Names{"v1", "v2", "v3", "v5"});
  CHECK(left(host) == Names{"v4", "v6"});
  CHECK_FALSE(host.state().verdict("v1"));
  CHECK(host.state().is("v3", Mark::bad)); // should it come back
  CHECK(prune_of(host, 2).removed.empty());
}

TEST_CASE("what is not known is old only when enough good ones are younger") {
  Host host({"v1", "v2", "v3", "v4", "v5"});
  host.config.pattern = "v*";
  host.deploy("v4");
  CHECK(prune_of(host, 2).removed.empty()); // a host that was deployed by hand before
  host.deploy("v5");
  CHECK(prune_of(host, 3).removed.empty());
  CHECK(prune_of(host, 2).removed == Names{"v1", "v2", "v3"});
}

TEST_CASE("what is newer than the current release stays, and so does what is no release") {
  const Host host({"v1", "v2", "v3", ".hidden", "v0.partial"});
  host.scratch.write("releases/v0", "a file");
  mark(host, "v1", Mark::good);
  host.deploy("v2");
  mark(host, "v3", Mark::bad);
  CHECK(prune_of(host, 2).removed.empty());
  CHECK(fs::exists(host.scratch / "releases/.hidden"));
  CHECK(fs::exists(host.scratch / "releases/v0.partial"));
  CHECK(fs::exists(host.scratch / "releases/v0"));
}

TEST_CASE("current, previous, candidate and the last good release are never removed") {
  const Host host({"v1", "v2", "v3", "v4", "v5"});
  host.deploy("v1");
  host.deploy("v2");
  REQUIRE(roll_back(host.config, host.places, {.release = "v1", .reason = "x"})); // current v1, candidate v2
  CHECK(prune_of(host, 1).removed.empty());
  host.pass();
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v5"})); // current v5 on trial, previous v1
  CHECK(prune_of(host, 1).removed == Names{"v2"});
  CHECK(left(host) == Names{"v1", "v3", "v4", "v5"});
  CHECK(prune_of(host, keep_all).removed.empty());
}

TEST_CASE("a release that a process uses is kept and told") {
  const Host host({"v1", "v2", "v3"});
  for (const char* name : {"v1", "v2", "v3"}) host.deploy(name);
  fs::create_directory(host.scratch / "releases/v1/data");
  const std::string inside = fs::canonical(host.scratch / "releases/v1/data");
  {
    const Sleeper sleeper(inside);
    while (!sleeper.is_in(inside)) (void)usleep(1000);
    const Pruned pruned = prune_of(host, 1);
    CHECK(pruned.removed.empty());
    REQUIRE(pruned.kept.by.contains("v1"));
    CHECK(pruned.kept.by.at("v1").pid == sleeper.pid());
  }
  CHECK(prune_of(host, 1).removed == Names{"v1"});
}

TEST_CASE("where any name would do for a release, what is not known is none") {
  Host host({"config", "data", "v1", "v2"}); // beside the link, say
  host.scratch.write("releases/data/server", "");
  for (const char* name : {"v1", "v2"}) host.deploy(name);
  CHECK(prune_of(host, 1).removed.empty());
  host.config.require = {"server"};
  for (const char* name : {"v1", "v2"}) host.scratch.write(std::string("releases/") + name + "/server", "");
  CHECK(prune_of(host, 1).removed == Names{"data"});
}

TEST_CASE("what somebody has asked for is not old") {
  const Host host({"v1", "v2", "v3"});
  for (const char* name : {"v1", "v2", "v3"}) host.deploy(name);
  host.request("rollback", "v1");
  CHECK(prune_of(host, 1).removed.empty());
}

TEST_CASE(
    "nothing is old by a record that was lost, and nothing forgotten where the releases are not mounted") {
  const Host host({"v1", "v2", "v3"});
  for (const char* name : {"v1", "v2", "v3"}) host.deploy(name);
  fs::rename(host.config.releases, host.scratch / "away");
  fs::create_directory(host.config.releases);
  CHECK(prune_of(host, 1).removed.empty());
  CHECK(host.state().is("v3", Mark::good));
  CHECK(host.state().is("v1", Mark::good));
  fs::remove(host.config.releases);
  fs::rename(host.scratch / "away", host.config.releases);
  mark(host, "v1", Mark::bad);
  host.scratch.write("state/app/state.json", "garbage");
  CHECK(prune_of(host, 1).removed.empty());
  CHECK(host.state().is("v1", Mark::bad));
}

TEST_CASE("an app that shares the directory and whose record is lost keeps everything") {
  const Host production({"v1", "v2", "v3"});
  for (const char* name : {"v1", "v2", "v3"}) production.deploy(name);
  Config staging = production.config;
  staging.app = "staging";
  const std::vector<Config> all{production.config, staging};
  production.scratch.write("state/staging/state.json", "garbage");
  for (const bool dry_run : {true, false}) {
    const auto refused = prune(production.config, production.places, all, {.keep = 1, .dry_run = dry_run});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text().starts_with("staging: shares the releases, and what it needs is not known"));
  }
  CHECK(production.scratch.read("state/staging/state.json") == "garbage");
  CHECK(left(production) == Names{"v1", "v2", "v3"});
}

TEST_CASE("what another app needs that shares the directory stays") {
  const Host production({"v1", "v2", "v3", "v4"});
  Config staging = production.config;
  staging.app = "staging";
  staging.link = production.scratch / "staging";
  staging.keep = 1;
  REQUIRE(swap_to_release(staging, production.places, {.release = "v2"})); // v3 may be its next one
  for (const char* name : {"v1", "v3", "v4"}) production.deploy(name);
  const std::vector<Config> all{production.config, staging};
  const auto would = prune(production.config, production.places, all, {.keep = 1, .dry_run = true});
  REQUIRE(would);
  CHECK(would->removed == Names{"v1"});
  CHECK(prune_of(production, 1, all).removed == Names{"v1"});
  CHECK(left(production) == Names{"v2", "v3", "v4"});
}

TEST_CASE("what an earlier prune left half done is finished") {
  const Host host({"v1", "v2"});
  host.deploy("v2");
  mark(host, "v1", Mark::bad);
  host.scratch.write("releases/.v1.safe-deploy-pruned/file", "");
  host.scratch.write("outside/file", "kept");
  fs::create_directory_symlink(host.scratch / "outside", host.scratch / "releases/.x.safe-deploy-pruned");
  CHECK(prune_of(host, 1).removed == Names{"v1"});
  CHECK_FALSE(fs::exists(host.scratch / "releases/.v1.safe-deploy-pruned"));
  CHECK_FALSE(fs::is_symlink(host.scratch / "releases/.x.safe-deploy-pruned"));
  CHECK(host.scratch.read("outside/file") == "kept");
}

TEST_CASE("a good release that somebody else has removed is forgotten") {
  const Host host({"v1", "v2", "v3"});
  for (const char* name : {"v1", "v2", "v3"}) host.deploy(name);
  fs::remove_all(host.scratch / "releases/v1");
  CHECK(prune_of(host, 5).removed.empty());
  CHECK_FALSE(host.state().verdict("v1"));
}

TEST_CASE("of the bad releases that are gone the latest ones are remembered") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  mark(host, "v2", Mark::bad);
  constexpr std::size_t more = 7;
  host.step([](State& state, const Moment& now) {
    for (std::size_t i = 0; i < most_gone_remembered + more; ++i)
      state.releases[fmt::format("gone-{:03}", i)] = {
          Mark::bad, fmt::format("2026-01-01T00:{:02}:{:02}.000Z", i / 60, i % 60), ""};
    return step::mark(state, "v2", Mark::bad, "", now);
  });
  (void)prune_of(host, 5);
  CHECK_FALSE(host.state().verdict(fmt::format("gone-{:03}", more - 1)));
  CHECK(host.state().is(fmt::format("gone-{:03}", more), Mark::bad));
  CHECK(host.state().releases.size() == most_gone_remembered + 2);
  const auto lines = Ledger::history(host.places.state_dir, "app");
  REQUIRE(lines);
  CHECK(lines->back().find("\"gone-000\":null") != std::string::npos);
  const std::size_t before = lines->size();
  (void)prune_of(host, 5);
  CHECK(Ledger::history(host.places.state_dir, "app")->size() == before);
}

TEST_CASE("a file of the name that a release is set aside under is in nobody's way") {
  const std::string longest(NAME_MAX, 'a');
  const Host host({longest, "v1", "v2"});
  mark(host, longest, Mark::bad);
  host.deploy("v2");
  mark(host, "v1", Mark::bad);
  host.scratch.write("releases/.v1.safe-deploy-pruned", "");
  CHECK(prune_of(host, 1).removed == Names{longest, "v1"});
  CHECK(left(host) == Names{"v2"});
  CHECK_FALSE(fs::exists(host.scratch / "releases/.v1.safe-deploy-pruned"));
}

TEST_CASE("without a current release nothing is old") {
  const Host host({"v1", "v2"});
  mark(host, "v1", Mark::bad);
  CHECK(prune_of(host, 1).removed.empty());
}
