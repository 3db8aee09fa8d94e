#include "unit_watch.hpp"

#include "catch.hpp"

#include <csignal>
#include <string>

using namespace safe_deploy;

namespace {

UnitState unit(const std::string& active, const std::string& sub) {
  UnitState state;
  state.name = "demo.service";
  state.load_state = "loaded";
  state.active_state = active;
  state.sub_state = sub;
  state.result = "success";
  return state;
}

UnitState ended(UnitState state, int code, int status) {
  state.main_code = code;
  state.main_status = status;
  state.result = "exit-code";
  return state;
}

std::string judged(const UnitState& before, const UnitState& now) {
  return UnitWatch::judge(before, now).value_or("");
}

} // namespace

TEST_CASE("a unit that starts or runs is waited for") {
  for (const char* active : {"inactive", "activating", "active", "reloading"}) {
    const UnitState state = unit(active, "");
    CHECK(judged(state, state).empty());
  }
  CHECK(judged(unit("inactive", "dead"), unit("activating", "start-pre")).empty());
  CHECK(judged(unit("activating", "start"), unit("active", "running")).empty());
}

TEST_CASE("a unit that failed is not waited for, unless a job will start it") {
  UnitState failed = ended(unit("failed", "failed"), CLD_EXITED, 3);
  CHECK(judged(failed, failed) == "demo.service failed: exited with status 3");
  failed.has_job = true;
  CHECK(judged(failed, failed).empty());
  UnitState timed_out = unit("failed", "failed");
  timed_out.result = "timeout";
  CHECK(judged(unit("activating", "start"), timed_out) == "demo.service failed: timeout");
}

TEST_CASE("a main process that ended is the end also where systemd will start another") {
  const UnitState running = unit("active", "running");
  const UnitState waiting = ended(unit("activating", "auto-restart"), CLD_KILLED, SIGSEGV);
  CHECK(judged(running, waiting) == "demo.service failed: was killed by SIGSEGV; systemd starts it again");
  UnitState queued = waiting;
  queued.sub_state = "auto-restart-queued";
  CHECK_FALSE(judged(running, queued).empty());
  // Who comes while systemd waits to start it again waits with it.
  CHECK(judged(waiting, waiting).empty());
  UnitState started = unit("activating", "start");
  started.restarts = 1;
  CHECK(judged(waiting, started).empty());
}

TEST_CASE("a restart that was too quick to be seen is told by its counter") {
  const UnitState before = ended(unit("active", "running"), CLD_EXITED, 3);
  UnitState now = unit("active", "running");
  now.restarts = 1;
  CHECK(judged(before, now) == "demo.service failed: exited with status 3; systemd starts it again");
}

TEST_CASE("a unit that stopped is not waited for") {
  CHECK(judged(unit("active", "running"), unit("inactive", "dead")) == "demo.service stopped");
  UnitState restarting = unit("inactive", "dead");
  restarting.has_job = true;
  CHECK(judged(unit("active", "running"), restarting).empty());
}

TEST_CASE("a unit that cannot be started is not waited for") {
  UnitState state = unit("inactive", "dead");
  state.load_state = "not-found";
  CHECK(judged(state, state) == "there is no unit demo.service");
  state.load_state = "masked";
  CHECK(judged(state, state) == "demo.service cannot be started: masked");
}

TEST_CASE("another main process is not the one that was asked") {
  UnitState before = unit("active", "running");
  before.main_pid = 1;
  UnitState now = before;
  CHECK(judged(before, now).empty());
  now.main_pid = 2;
  CHECK(judged(before, now) == "demo.service: its main process changed from PID 1 to 2");
  before.active_state = "activating";
  before.sub_state = "start-post"; // the gate of a start is asking
  CHECK(judged(before, now) == "demo.service: its main process changed from PID 1 to 2");
  before.sub_state = "start"; // it may be handed on
  CHECK(judged(before, now).empty());
  before.sub_state = "running";
  now.main_pid = 0;
  CHECK(judged(before, now).empty()); // how it ended is told elsewhere
  before.main_pid = 0;
  now.main_pid = 2;
  CHECK(judged(before, now).empty());
}

TEST_CASE("an active unit that was restarted unseen is told by its invocation") {
  UnitState before = unit("active", "running");
  before.invocation_id = "1";
  before.main_pid = 1;
  UnitState now = before;
  CHECK(judged(before, now).empty());
  now.invocation_id = "2";
  now.main_pid = 2;
  CHECK(judged(before, now) == "demo.service was restarted");
  before = unit("inactive", "dead");
  before.invocation_id = "1";
  CHECK(judged(before, now).empty());
}
