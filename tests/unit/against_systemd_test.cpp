#include "catch.hpp"
#include "checks/rollback_check.hpp"
#include "checks/start_timeout_check.hpp"
#include "checks/unit_file_check.hpp"
#include "ledger.hpp"
#include "scratch.hpp"

#include <sys/stat.h>

#include <filesystem>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

// The answer where systemd-analyze is a program that does this.
Answer verified(const Scratch& scratch, const std::string& script,
                const Deadline& deadline = Deadline::never()) {
  const std::string program = scratch / "systemd-analyze";
  scratch.write("systemd-analyze", "#!/bin/sh\n" + script);
  REQUIRE(chmod(program.c_str(), 0755) == 0);
  return UnitFileCheck("demo.service", scratch / "current", program).ask(deadline);
}

UnitState gated(Duration timeout_start) {
  UnitState unit;
  unit.name = "demo.service";
  unit.load_state = "loaded";
  unit.exec_start_pre = "/usr/bin/port-wait --free --app demo ";
  unit.exec_start_post = "/usr/bin/health-wait --app demo ";
  unit.timeout_start = timeout_start;
  return unit;
}

Answer fits(Duration health_timeout, Duration timeout_start, Duration free_timeout = 1s) {
  Config config;
  config.unit = "demo.service";
  config.listen = "127.0.0.1:80";
  config.health_timeout = health_timeout;
  config.free_timeout = free_timeout;
  return StartTimeoutCheck(config, nullptr).judge(gated(timeout_start));
}

struct Demo {
  Scratch scratch;
  Config config;
  Places places{scratch / "state", scratch / "run"};

  Demo() {
    config.app = "demo";
    config.unit = "demo.service";
    config.file = "demo.conf";
    config.link = scratch / "current";
    config.releases = scratch / "releases";
    std::filesystem::create_directories(config.releases);
    std::filesystem::create_directories(places.state_dir);
  }

  void release(const std::string& name) const { scratch.write("releases/" + name + "/server", ""); }
  void current(const std::string& name) const {
    std::filesystem::create_symlink("releases/" + name, config.link);
  }
  void mark(const std::string& name, Mark mark) const {
    auto change = Ledger::Change::begin(places.state_dir, "demo");
    REQUIRE(change);
    REQUIRE(change->commit(step::mark(change->state(), name, mark, "", Moment::now())));
  }
  [[nodiscard]] Answer ask() const { return RollbackCheck(config, places).ask(Deadline::never()); }
};

} // namespace

TEST_CASE("a unit file that systemd-analyze finds nothing wrong with is well") {
  const Scratch scratch;
  const Answer answer = verified(scratch, "echo \"$@\" > $(dirname $0)/words; exit 0");
  CHECK(answer.verdict == Verdict::yes);
  CHECK(scratch.read("words") == "verify --man=no --recursive-errors=no demo.service\n");
}

TEST_CASE("the first complaint about a unit file is told") {
  const Scratch scratch;
  const Answer answer =
      verified(scratch,
               "echo 'other.service: bad' >&2; printf '/etc/demo.service:3: \\033[1munknown\\n' >&2;"
               "echo 'demo.service: more'; exit 1");
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "verify");
  CHECK(answer.sentence == "/etc/demo.service:3: \\x1b[1munknown");
  CHECK(verified(scratch, "echo 'something else'; exit 1").sentence == "something else");
}

TEST_CASE("that nothing is behind the link before the first deploy is no complaint") {
  const Scratch scratch;
  const std::string script =
      "echo \"demo.service: Command $(dirname $0)/current/server is not executable\"; echo 'other: x'; ";
  const Answer first = verified(scratch, script + "exit 1");
  CHECK(first.verdict == Verdict::skipped);
  CHECK(first.reason == "no-release");
  CHECK(verified(scratch, script + "echo 'demo.service: worse'; exit 1").sentence == "demo.service: worse");
  std::filesystem::create_symlink(scratch.path(), scratch / "current");
  CHECK(verified(scratch, script + "exit 1").reason == "verify");
}

TEST_CASE("where systemd-analyze cannot do its work the check is skipped") {
  const Scratch scratch;
  CHECK(UnitFileCheck("demo.service", "", "/nonexistent/analyze").ask(Deadline::never()).sentence ==
        "/nonexistent/analyze: cannot be run: No such file or directory");
  for (const char* script : {"kill -9 $$", "exit 3"}) {
    const Answer answer = verified(scratch, script);
    CHECK(answer.verdict == Verdict::skipped);
    CHECK(answer.reason == "systemd-analyze");
  }
}

TEST_CASE("a systemd-analyze that does not end is ended") {
  const Scratch scratch;
  const auto start = Clock::now();
  for (const char* script : {"exec sleep 1000", "exec >&- 2>&-; exec sleep 1000", "exec yes"}) {
    const Answer answer = verified(scratch, script, Deadline::after(200ms));
    CHECK(answer.verdict == Verdict::skipped);
    CHECK(answer.sentence.find("did not end within 200ms") != std::string::npos);
  }
  CHECK(Clock::now() - start < 60s);
}

TEST_CASE("much that systemd-analyze says is not kept") {
  const Scratch scratch;
  const Answer answer = verified(scratch, "head -c 10000000 /dev/zero; exit 1");
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.sentence.size() < 1000);
}

TEST_CASE("the gate of a start fits into its time, or ends before systemd ends it") {
  CHECK(fits(30s, 30s).verdict == Verdict::yes);
  CHECK(fits(30s, 30s).sentence == "[health] timeout (30s) fits into TimeoutStartSec=30s of demo.service");
  CHECK(fits(without_limit, without_limit).verdict == Verdict::yes);
  const Answer health = fits(60s, 30s);
  CHECK(health.verdict == Verdict::no);
  CHECK(health.reason == "health-timeout");
  CHECK(health.sentence ==
        "[health] timeout (1m) is more than TimeoutStartSec=30s of demo.service: health-wait "
        "ends just before that");
  CHECK(fits(without_limit, 30s).sentence.find("[health] timeout (without limit)") == 0);
  CHECK(fits(10s, 30s, 31s).reason == "free-timeout");
}

TEST_CASE("a unit that is not gated has no budget") {
  UnitState bare = gated(1s);
  bare.exec_start_pre.clear();
  bare.exec_start_post = "/bin/true ";
  Config config;
  config.unit = "demo.service";
  const StartTimeoutCheck check(config, nullptr);
  CHECK(check.judge(bare).verdict == Verdict::skipped);
  CHECK(check.judge(bare).reason == "no-gate");
  bare.exec_start_pre = "/usr/bin/port-wait ";
  CHECK(check.judge(bare).verdict == Verdict::yes); // no port is waited for
}

TEST_CASE("a good release is there to go back to") {
  const Demo demo;
  demo.release("v1");
  demo.release("v2");
  demo.current("v1");
  demo.mark("v1", Mark::good);
  const Answer answer = demo.ask();
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == "should v2 fail, v1 is gone back to");
}

TEST_CASE("without a good release there is nothing to go back to") {
  const Demo demo;
  demo.release("v1");
  CHECK(demo.ask().reason == "none"); // the first deploy
  demo.release("v2");
  demo.current("v1");
  const Answer answer = demo.ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.sentence == "nothing to go back to, should v2 fail: no good release to roll back to");
}

TEST_CASE("a good release that is incomplete is none to go back to") {
  Demo demo;
  demo.release("v1");
  demo.release("v2");
  demo.current("v1");
  demo.mark("v1", Mark::good);
  demo.config.require = {"bin"};
  demo.scratch.write("releases/v2/bin", "");
  CHECK(demo.ask().reason == "none");
}

TEST_CASE("an irreversible release is not gone back from") {
  const Demo demo;
  demo.release("v1");
  demo.release("v2");
  demo.current("v1");
  demo.mark("v1", Mark::good);
  demo.scratch.write("releases/v2/.irreversible", "");
  CHECK(demo.ask().reason == "irreversible");
}

TEST_CASE("where nothing is deployed nothing can fail") {
  const Demo demo;
  CHECK(demo.ask().verdict == Verdict::skipped);
  CHECK(demo.ask().reason == "releases");
  demo.release("v1");
  demo.current("v1");
  CHECK(demo.ask().reason == "nothing-new");
}

TEST_CASE("a record that cannot be read knows no good release") {
  const Demo demo;
  demo.release("v1");
  demo.scratch.write("state/demo/state.json", "{");
  const Answer answer = demo.ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "record");
}
