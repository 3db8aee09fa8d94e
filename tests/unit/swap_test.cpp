#include "swap.hpp"

#include "catch.hpp"
#include "host.hpp"

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

Outcome outcome_of(const Result<Moved>& moved) {
  REQUIRE_FALSE(moved);
  return moved.error().outcome();
}

} // namespace

TEST_CASE("the newest release is the last in version order, never by time") {
  Host host({"v1.10.0", "v1.9.0", "v1.2.0", ".hidden", "v2.0.partial", "v3.tmp"});
  host.scratch.write("releases/v9", "a file is no release");
  fs::create_symlink("v1.9.0", host.scratch / "releases/v8");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(host.current() == "v1.10.0");
  CHECK(host.state().phase == Phase::swapped);
}

TEST_CASE("previous is what ran well before") {
  const Host host({"v1", "v2", "v3"});
  host.deploy("v1");
  CHECK_FALSE(fs::exists(previous_link(host.config)));
  host.deploy("v2");
  CHECK(host.previous() == "v1");
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v3"}));
  CHECK(host.previous() == "v2");
  REQUIRE(roll_back(host.config, host.places, {}));
  host.pass();
  CHECK(host.current() == "v2");
  CHECK(host.state().is("v3", Mark::bad));
}

TEST_CASE("a bad release is not deployed again by itself, and by name only with force") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  REQUIRE(roll_back(host.config, host.places, {}));
  host.pass();
  CHECK(outcome_of(swap_to_release(host.config, host.places, {})) == Outcome::no);
  CHECK(host.current() == "v1");
  CHECK(outcome_of(swap_to_release(host.config, host.places, {.release = "v2"})) == Outcome::no);
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v2", .force = true}));
  CHECK(host.current() == "v2");
}

TEST_CASE("an incomplete release is passed over, and refused by name") {
  Host host({"v1", "v2"});
  host.config.require = {"bin/server"};
  host.scratch.write("releases/v1/bin/server", "#!");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(host.current() == "v1");
  host.pass();
  for (const SwapRequest& request : {SwapRequest{}, SwapRequest{.release = "v2"}}) {
    const auto refused = swap_to_release(host.config, host.places, request);
    CHECK(outcome_of(refused) == Outcome::no);
    CHECK(refused.error().text().find("it lacks bin/server") != std::string::npos);
  }
}

TEST_CASE("what leads out of a release does not make it complete") {
  Host host({"v1"});
  host.config.require = {"server"};
  fs::create_symlink("/etc/passwd", host.scratch / "releases/v1/server");
  CHECK(outcome_of(swap_to_release(host.config, host.places, {})) == Outcome::no);
}

TEST_CASE("with nothing to deploy nothing is touched") {
  const Host host({});
  CHECK(outcome_of(swap_to_release(host.config, host.places, {})) == Outcome::no);
  CHECK_FALSE(fs::exists(host.scratch / "state/app/state.json"));
  CHECK_FALSE(fs::is_symlink(host.config.link));
}

TEST_CASE("a second deploy while one is under way is busy") {
  const Host host({"v1", "v2"});
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v1"}));
  CHECK(outcome_of(swap_to_release(host.config, host.places, {.release = "v2"})) == Outcome::busy);
  CHECK(host.current() == "v1");
}

TEST_CASE("a request names the release, and is gone after it") {
  const Host host({"v1", "v2"});
  host.request("next", "v1");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(host.current() == "v1");
  CHECK_FALSE(fs::is_symlink(host.scratch / "run/app/next"));
}

TEST_CASE("a hostile request is refused") {
  for (const char* text : {"../../etc", "/etc", "..", "-f", "v1\nv2"}) {
    const Host host({"v1"});
    host.request("next", text);
    CHECK(outcome_of(swap_to_release(host.config, host.places, {})) == Outcome::no);
    CHECK_FALSE(fs::is_symlink(host.config.link));
  }
}

TEST_CASE("a link that is a directory is refused before anything is recorded") {
  const Host host({"v1"});
  fs::create_directory(host.config.link);
  CHECK(outcome_of(swap_to_release(host.config, host.places, {})) == Outcome::no);
  CHECK(fs::is_empty(host.config.link));
  CHECK(host.state().phase == Phase::idle);
}

TEST_CASE("a rollback without a good release touches nothing") {
  const Host host({"v1", "v2"});
  REQUIRE(point_link(host.config.link, "releases/v1", false)); // of which nothing is known
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v2"}));
  CHECK(outcome_of(roll_back(host.config, host.places, {})) == Outcome::no);
  CHECK(host.current() == "v2");
  CHECK(host.state().phase == Phase::swapped);
}

TEST_CASE("the first release of all that fails leaves no link behind") {
  const Host host({"v1"});
  REQUIRE(swap_to_release(host.config, host.places, {}));
  for (const bool again : {false, true}) {
    INFO(again);
    const auto refused = roll_back(host.config, host.places, {.release = {}, .reason = "503"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().outcome() == Outcome::no);
    CHECK(refused.error().text() ==
          "app: no release to roll back to: v1 was the first one, so " + host.config.link + " is removed");
    CHECK_FALSE(fs::is_symlink(host.config.link));
    CHECK(host.state().releases.at("v1").reason == "503");
  }
  host.step([](State& s, const Moment& now) { return step::stuck(s, "", now); });
  CHECK(host.state().stuck == "503");
  host.add("v2");
  host.deploy("v2");
  CHECK(host.current() == "v2");
}

TEST_CASE("a rollback of a good release that nobody asked for changes nothing") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  host.deploy("v2");
  const auto moved = roll_back(host.config, host.places, {});
  REQUIRE(moved);
  CHECK_FALSE(moved->changed);
  REQUIRE(roll_back(host.config, host.places, {.release = {}, .reason = "slow"}));
  CHECK(host.current() == "v1");
  CHECK(host.state().releases.at("v2").reason == "slow");
}

TEST_CASE("what a tilde follows is older than what has none") {
  const Host host({"1.10", "1.10~rc1", "1.9", "1.10-2"});
  CHECK(Releases::open(host.config).value().names() ==
        std::vector<std::string>{"1.9", "1.10~rc1", "1.10", "1.10-2"});
}

TEST_CASE("a candidate goes back to where it came from, whatever somebody has made of previous") {
  const Host host({"v1", "v2", "v3"});
  for (const char* name : {"v1", "v2"}) host.deploy(name);
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v3"}));
  REQUIRE(point_link(previous_link(host.config), "releases/v1", false));
  REQUIRE(roll_back(host.config, host.places, {.release = {}, .reason = "503"}));
  CHECK(host.current() == "v2");
}

TEST_CASE("a rollback to what is current changes nothing") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  host.request("rollback", "v1");
  for (const RollbackRequest& request :
       {RollbackRequest{.release = "v1", .reason = "x"}, RollbackRequest{}}) {
    const auto moved = roll_back(host.config, host.places, request);
    REQUIRE(moved);
    CHECK_FALSE(moved->changed);
    CHECK(host.state().phase == Phase::idle);
    CHECK(host.state().is("v1", Mark::good));
  }
  CHECK_FALSE(fs::is_symlink(host.scratch / "run/app/rollback"));
}

TEST_CASE("in stuck a good release may prove itself once more") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v2"}));
  REQUIRE(roll_back(host.config, host.places, {.release = {}, .reason = "503"}));
  host.step([](State& s, const Moment& now) { return step::stuck(s, "the database is down", now); });
  const auto moved = roll_back(host.config, host.places, {});
  if (!moved) FAIL(moved.error().text());
  CHECK(moved->release == "v1");
  host.pass();
  CHECK(host.state().phase == Phase::idle);
  CHECK(host.state().is("v1", Mark::good));
}

TEST_CASE("a current release that is gone from the disk is not left as it is") {
  const Host host({"v1", "v2"});
  for (const char* name : {"v1", "v2"}) host.deploy(name);
  fs::remove_all(fs::path(host.config.releases) / "v2");
  REQUIRE(roll_back(host.config, host.places, {}));
  CHECK(host.current() == "v1");
}

TEST_CASE("a rollback goes by itself to good releases only, by name to any") {
  const Host host({"v1", "v2", "v3", "v4"});
  host.deploy("v1");
  host.step([](State& s, const Moment& now) { return step::mark(s, "v3", Mark::bad, "", now); });
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v4"}));
  REQUIRE(roll_back(host.config, host.places, {}));
  host.pass();
  CHECK(host.current() == "v1");
  REQUIRE(roll_back(host.config, host.places, {.release = "v2", .reason = ""}));
  CHECK(host.current() == "v2");
}

TEST_CASE("an irreversible release is not rolled back by itself") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  host.scratch.write("releases/v2/.irreversible", "");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(outcome_of(roll_back(host.config, host.places, {})) == Outcome::no);
  CHECK(host.current() == "v2");
}

TEST_CASE("a swap that a crash cut short is as if it had not begun") {
  for (const bool link_moved : {false, true}) {
    const Host host({"v1", "v2"});
    host.deploy("v1");
    host.step([](State& s, const Moment& now) { return step::intend(s, "v2", "v1", "releases/v1", now); });
    if (link_moved) REQUIRE(point_link(host.config.link, "releases/v2", false));
    REQUIRE(reconcile(host.config, host.places));
    CHECK(host.current() == "v1");
    CHECK(host.state().phase == Phase::idle);
    CHECK_FALSE(host.state().verdict("v2"));
    CHECK_FALSE(reconcile(host.config, host.places)->changed);
  }
}

TEST_CASE("the first swap of all that was cut short leaves no link") {
  const Host host({"v1"});
  host.step([](State& s, const Moment& now) { return step::intend(s, "v1", "", "", now); });
  REQUIRE(point_link(host.config.link, "releases/v1", false));
  REQUIRE(reconcile(host.config, host.places));
  CHECK_FALSE(fs::is_symlink(host.config.link));
}

TEST_CASE("a reboot in a deploy or a rollback leads back to the last good release, without a verdict") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  REQUIRE(reconcile(host.config, host.places));
  CHECK(host.current() == "v1");
  CHECK(host.state().phase == Phase::idle);
  CHECK(host.state().last.outcome == "interrupted");
  CHECK_FALSE(host.state().verdict("v2"));

  REQUIRE(swap_to_release(host.config, host.places, {}));
  host.step([](State& s, const Moment& now) { return step::roll_back(s, "v2", "v1", "503", now); });
  REQUIRE(reconcile(host.config, host.places));
  CHECK(host.current() == "v1");
  CHECK(host.state().is("v2", Mark::bad));
}

TEST_CASE("a reboot in the first deploy of all, or while it is left, undoes it") {
  for (const bool being_left : {false, true}) {
    const Host host({"v1"});
    REQUIRE(swap_to_release(host.config, host.places, {}));
    if (being_left)
      host.step([](State& s, const Moment& now) { return step::roll_back(s, "v1", "", "503", now); });
    const auto moved = reconcile(host.config, host.places);
    REQUIRE(moved);
    CHECK(moved->changed);
    CHECK_FALSE(fs::is_symlink(host.config.link));
    CHECK(host.state().phase == Phase::idle);
    CHECK(host.state().last.outcome == "interrupted");
    CHECK(host.state().is("v1", Mark::bad) == being_left);
    CHECK_FALSE(reconcile(host.config, host.places)->changed);
  }
}

TEST_CASE("a reboot in a rollback by hand never removes the link") {
  const Host host({"v1", "v2"});
  REQUIRE(point_link(host.config.link, "releases/v1", false));
  REQUIRE(roll_back(host.config, host.places, {.release = "v2", .reason = "by hand"}));
  REQUIRE(reconcile(host.config, host.places));
  CHECK(host.current() == "v2");
  CHECK(host.state().phase == Phase::stuck);
}

TEST_CASE("a swap that cannot be done or recorded leaves everything as it was") {
  const Host host({"v1", "v2", "v3"});
  host.deploy("v1");
  host.deploy("v2");
  fs::create_directory(host.config.link + ".new");
  fs::rename(host.config.link, host.scratch / "kept");
  fs::rename(host.config.link + ".new", host.config.link); // in the way of the link
  REQUIRE_FALSE(swap_to_release(host.config, host.places, {.release = "v3"}));
  fs::remove(host.config.link);
  fs::rename(host.scratch / "kept", host.config.link);
  CHECK(host.current() == "v2");
  CHECK(host.previous() == "v1");
  CHECK(host.state().phase == Phase::idle);
}

TEST_CASE(
    "a record that is lost is made anew, with the link's release as current and the bad ones of its "
    "history") {
  const Host host({"v1", "v2", "v3", "v4"});
  host.deploy("v1");
  host.step([](State& s, const Moment& now) { return step::mark(s, "v2", Mark::bad, "503", now); });
  host.step([](State& s, const Moment& now) { return step::mark(s, "v3", Mark::bad, "", now); });
  host.step([](State& s, const Moment& now) { return step::clear(s, "v3", now); });
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v4"}));
  for (const bool gone : {false, true}) {
    if (gone)
      fs::remove(host.scratch / "state/app/state.json");
    else
      host.scratch.write("state/app/state.json", "garbage");
    const auto moved = reconcile(host.config, host.places);
    REQUIRE(moved);
    CHECK(moved->note.find("nothing is known to be good now") != std::string::npos);
    const State state = host.state();
    CHECK(state.phase == Phase::idle);
    CHECK(state.current == "v4");
    CHECK(state.releases.size() == 1);
    CHECK(state.releases.at("v2").reason == "503");
    CHECK_FALSE(state.lost.empty());
    CHECK(state.last.number == 2);
  }
  // Until something is good again, that a person is needed can be recorded.
  host.step([](State& s, const Moment& now) { return step::stuck(s, s.lost, now, step::Blame::nobody); });
  host.deploy("v3");
  CHECK(host.state().lost.empty());
}

TEST_CASE("a reboot while an irreversible release was on trial is stuck, without a verdict") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  host.scratch.write("releases/v2/.irreversible", "");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  const auto moved = reconcile(host.config, host.places);
  REQUIRE(moved);
  CHECK(moved->note.find("irreversible") != std::string::npos);
  CHECK(host.current() == "v2");
  CHECK(host.state().phase == Phase::stuck);
  CHECK_FALSE(host.state().verdict("v2"));
}

TEST_CASE("a reboot in a rollback to a release without a verdict leads to a good one") {
  const Host host({"v1", "v2", "v3"});
  host.deploy("v1");
  host.deploy("v3");
  REQUIRE(roll_back(host.config, host.places, {.release = "v2", .reason = "by hand"}));
  REQUIRE(reconcile(host.config, host.places));
  CHECK(host.current() == "v1");
}

TEST_CASE("a link that led to no release is restored as it was") {
  for (const bool link_moved : {false, true}) {
    const Host host({"v1"});
    fs::create_directory(host.scratch / "legacy");
    REQUIRE(point_link(host.config.link, "legacy", false));
    host.step([](State& s, const Moment& now) { return step::intend(s, "v1", "", "legacy", now); });
    if (link_moved) REQUIRE(point_link(host.config.link, "releases/v1", false));
    REQUIRE(reconcile(host.config, host.places));
    CHECK(read_link(host.config.link).value() == "legacy");
    CHECK(host.state().phase == Phase::idle);
  }
}

TEST_CASE("a swap from stuck that does not take place leaves it stuck") {
  const Host host({"v1", "v2"});
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v1"}));
  host.step([](State& s, const Moment& now) { return step::stuck(s, "why", now); });
  fs::create_directory(previous_link(host.config)); // in the way, once v1 counts as good
  host.step([](State& s, const Moment& now) { return step::mark(s, "v1", Mark::good, "", now); });
  REQUIRE_FALSE(swap_to_release(host.config, host.places, {.release = "v2"}));
  CHECK(host.current() == "v1");
  CHECK(host.state().phase == Phase::stuck);
  CHECK(host.state().stuck == "why");
}

TEST_CASE("what is no link in the place of previous does not keep from going back") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  fs::remove(previous_link(host.config));
  fs::create_directory(previous_link(host.config));
  REQUIRE(roll_back(host.config, host.places, {}));
  CHECK(host.current() == "v1");
}

TEST_CASE("a dry run changes nothing, whatever it finds") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  host.step([](State& s, const Moment& now) { return step::intend(s, "v2", "v1", "releases/v1", now); });
  REQUIRE(point_link(host.config.link, "releases/v2", false));
  const auto would = roll_back(host.config, host.places, {.release = {}, .reason = "", .dry_run = true});
  REQUIRE(would);
  CHECK(would->changed);
  CHECK(would->to == "releases/v1");
  CHECK(host.current() == "v2");
  CHECK(host.state().phase == Phase::prepared);

  host.scratch.write("state/app/state.json", "garbage");
  CHECK(outcome_of(roll_back(host.config, host.places, {.release = {}, .reason = "x", .dry_run = true})) ==
        Outcome::no);
  CHECK(host.scratch.read("state/app/state.json") == "garbage");
  // The real one tells what it has set aside, also where it refuses.
  const auto refused = roll_back(host.config, host.places, {.release = {}, .reason = "x"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text().find("kept as state.json.unreadable-") != std::string::npos);
}

TEST_CASE("a candidate that was called bad does not pass") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  host.step([](State& s, const Moment& now) { return step::mark(s, "v2", Mark::bad, "seen by hand", now); });
  auto change = Ledger::Change::begin(host.places.state_dir, "app");
  REQUIRE(change);
  const auto passed = step::passed(change->state(), false, Moment::now());
  REQUIRE_FALSE(passed);
  CHECK(passed.error().text() == "v2: is marked bad: seen by hand");
}

TEST_CASE("a record that somebody else holds is not waited for longer than asked") {
  const Host host({"v1"});
  const auto held = Ledger::Change::begin(host.places.state_dir, "app");
  REQUIRE(held);
  const auto second = Ledger::Change::begin(host.places.state_dir, "app", std::chrono::milliseconds(20));
  REQUIRE_FALSE(second);
  CHECK(second.error().outcome() == Outcome::busy);
}

TEST_CASE("a request may be a release's path") {
  const Host host({"v1", "v2", "v3"});
  host.request("next", host.config.releases + "/v2");
  CHECK(swap_to_release(host.config, host.places, {})->release == "v2");
  host.pass();
  host.request("next", "/etc");
  CHECK(is_outdated(host.config, host.places).value()); // to be refused
  CHECK(outcome_of(swap_to_release(host.config, host.places, {})) == Outcome::no);
}

TEST_CASE("links keep their style: relative, or absolute where they were absolute") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  CHECK(read_link(host.config.link).value() == "releases/v1");
  REQUIRE(point_link(host.config.link, host.config.releases + "/v1", false));
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(read_link(host.config.link).value() == host.config.releases + "/v2");
}

TEST_CASE("releases may lie beside the link") {
  Host host({});
  host.config.releases = host.scratch.path();
  host.config.pattern = "dist.*";
  fs::create_directory(host.scratch / "dist.20260203-123600");
  fs::create_directory(host.scratch / "dist.20260203-151116");
  fs::create_directory(host.scratch / "other");
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(read_link(host.config.link).value() == "dist.20260203-151116");
}

TEST_CASE("outdated is what a deploy would change, or has to refuse") {
  const Host host({"v1"});
  CHECK(is_outdated(host.config, host.places).value());
  host.deploy("v1");
  CHECK_FALSE(is_outdated(host.config, host.places).value());
  host.add("v2");
  host.step([](State& s, const Moment& now) { return step::mark(s, "v2", Mark::bad, "", now); });
  CHECK(is_outdated(host.config, host.places).value()); // to be refused
  host.step([](State& s, const Moment& now) { return step::clear(s, "v2", now); });
  CHECK(is_outdated(host.config, host.places).value());
  host.request("next", "v1");
  CHECK_FALSE(is_outdated(host.config, host.places).value());
}

TEST_CASE(
    "by force the current release is deployed once more; if it fails, what ran before it is gone back to") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  host.deploy("v2");
  CHECK_FALSE(swap_to_release(host.config, host.places, {.release = "v2"}).value().changed);
  const auto number = host.state().last.number;
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v2", .force = true}).value().changed);
  CHECK(host.state().phase == Phase::swapped);
  CHECK(host.state().last.number == number + 1);
  CHECK(host.current() == "v2");
  CHECK(host.previous() == "v1");
  SECTION("it passes") {
    host.pass();
    CHECK(host.state().is("v2", Mark::good));
    CHECK(host.previous() == "v1");
  }
  SECTION("it fails") {
    REQUIRE(roll_back(host.config, host.places, {}).value().release == "v1");
    host.pass();
    CHECK(host.current() == "v1");
    CHECK(host.state().is("v2", Mark::bad));
  }
  SECTION("a reboot comes between: it was good before, and stays") {
    REQUIRE(reconcile(host.config, host.places));
    CHECK(host.current() == "v2");
    CHECK(host.state().phase == Phase::idle);
    CHECK(host.state().is("v2", Mark::good));
  }
}

TEST_CASE("force passes over what is bad where it is named, and nothing that makes a swap unsafe") {
  Host host({"v1", "v2"});
  host.deploy("v1");
  host.step([](State& s, const Moment& now) { return step::mark(s, "v2", Mark::bad, "", now); });
  // Nobody has asked for the bad one: what runs is started once more.
  CHECK(swap_to_release(host.config, host.places, {.release = {}, .force = true, .dry_run = true})
            .value()
            .release == "v1");
  host.config.require = {"server"};
  CHECK(outcome_of(swap_to_release(host.config, host.places, {.release = "v2", .force = true})) ==
        Outcome::no);
  host.config.require = {};
  REQUIRE(swap_to_release(host.config, host.places, {.release = "v2", .force = true}));
  CHECK(outcome_of(swap_to_release(host.config, host.places, {.release = "v1", .force = true})) ==
        Outcome::busy);
}

TEST_CASE("a live candidate is one to leave; a rollback that is asked for is another reason") {
  const Host host({"v1", "v2"});
  host.deploy("v1");
  CHECK_FALSE(has_candidate_to_leave(host.places, "app").value());
  REQUIRE(swap_to_release(host.config, host.places, {}));
  CHECK(has_candidate_to_leave(host.places, "app").value());
  host.pass();
  CHECK_FALSE(has_candidate_to_leave(host.places, "app").value());
  CHECK_FALSE(is_rollback_asked_for(host.places, "app").value());
  host.request("rollback", "v1");
  CHECK(is_rollback_asked_for(host.places, "app").value());
}
