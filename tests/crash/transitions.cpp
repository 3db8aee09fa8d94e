#include "transitions.hpp"

#include "link.hpp"
#include "tree.hpp"

namespace fs = std::filesystem;
using namespace safe_deploy;

namespace crash {

namespace {

std::vector<std::string> with_app(const std::string& tool, const std::vector<std::string>& words) {
  std::vector<std::string> command{tool,      "--config-dir", "@/etc", "--state-dir",
                                   "@/state", "--run-dir",    "@/run"};
  if (tool != "safe-deploy") command.insert(command.end(), {"--app", app_name});
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

// v1 and v2 are good and v2 is current; v3 is new.
void two_good(const Host& host) {
  for (const char* release : {"v1", "v2", "v3"}) host.add(release);
  host.deploy("v1");
  host.deploy("v2");
}

void on_trial(const Host& host) {
  two_good(host);
  host.swap("v3");
}

void on_probation(const Host& host) {
  on_trial(host);
  host.step([](State& state, const Moment& now) { return step::passed(state, true, now); });
}

void rolling_back(const Host& host) {
  on_trial(host);
  host.roll_back("it does not answer");
}

void stuck_on(const Host& host) {
  on_trial(host);
  host.step([](State& state, const Moment& now) { return step::stuck(state, "the rollback failed", now); });
}

void intend_v3(const Host& host) {
  const std::string text = host.link_text("current");
  host.step([&](State& state, const Moment& now) { return step::intend(state, "v3", "v2", text, now); });
}

void prepared(const Host& host) {
  two_good(host);
  intend_v3(host);
}

void prepared_and_moved(const Host& host) {
  prepared(host);
  need(point_link(host.config.link, "releases/v3", true), "the link");
}

// What a process that was killed leaves behind; no process has this number.
void leave_rests(const Host& host) {
  two_good(host);
  fs::create_symlink("releases/v1", host.links / ".current.safe-deploy.4194303");
  fs::create_symlink("releases/v1", host.links / ".previous.safe-deploy.4194303");
  write_text(host.app_state / ".state.json.new", "half");
  write_text(host.history_file, read_text(host.history_file) + "{\"at\": \"half a li");
}

// v4 was bad, and nothing can be read of the state any more.
void unreadable(const Host& host) {
  two_good(host);
  host.add("v4");
  host.swap("v4");
  host.roll_back("it does not answer");
  host.pass();
  write_text(host.state_file, "{\"format\": 1, \"phase\": \"i");
}

void first_swapped(const Host& host) {
  host.add("v1");
  host.swap("v1");
}

void no_links(const Host& host) {
  for (const char* release : {"v1", "v2", "v3"}) host.add(release);
}

void plain_links(const Host& host) {
  no_links(host);
  need(point_link(host.links / "current", "releases/v2", true), "the link");
  need(point_link(host.links / "previous", "releases/v1", true), "the link");
}

template <class Step>
auto then_rebooted(Step step) {
  return [step](const Host& host) {
    step(host);
    host.reboot();
  };
}

void old_ones(const Host& host) {
  for (const char* release : {"v1", "v2", "v3", "v4", "v5", "v6"}) host.add(release);
  for (const char* release : {"v1", "v2"}) {
    host.add_files(release, 6);
    host.deploy(release);
  }
  host.swap("v3");
  host.roll_back("it does not answer");
  host.pass();
  for (const char* release : {"v4", "v5", "v6"}) host.deploy(release);
}

std::vector<Transition> all() {
  return {
      {.name = "first-deploy",
       .command = with_app("atomic-link", {}),
       .prepare = [](const Host& host) { host.add("v1"); },
       .may_end_without_link = true,
       .may_end_stuck = true},
      {.name = "deploy", .command = with_app("atomic-link", {"v3"}), .prepare = two_good},
      {.name = "deploy-newest", .command = with_app("atomic-link", {}), .prepare = two_good},
      {.name = "deploy-requested",
       .command = with_app("atomic-link", {}),
       .prepare =
           [](const Host& host) {
             two_good(host);
             host.add("v4");
             host.request("next", "v3");
           }},
      {.name = "deploy-over-rests", .command = with_app("atomic-link", {"v3"}), .prepare = leave_rests},
      {.name = "deploy-from-stuck",
       .command = with_app("atomic-link", {"v4"}),
       .prepare =
           [](const Host& host) {
             host.add("v4");
             stuck_on(host);
           }},
      {.name = "deploy-after-prepared",
       .command = with_app("atomic-link", {"v3"}),
       .prepare = prepared_and_moved,
       .settles = true,
       .repairs = true},
      {.name = "deploy-unreadable",
       .command = with_app("atomic-link", {"v3"}),
       .prepare = unreadable,
       .may_end_stuck = true,
       .settles = true},
      {.name = "passed", .command = with_app("release-mark", {"passed"}), .prepare = on_trial},
      {.name = "passed-rollback", .command = with_app("release-mark", {"passed"}), .prepare = rolling_back},
      {.name = "held",
       .command = with_app("release-mark", {"held"}),
       .prepare = on_probation,
       .may_end_on_probation = true},
      {.name = "rollback", .command = with_app("rollback-link", {}), .prepare = on_trial},
      {.name = "rollback-probation",
       .command = with_app("rollback-link", {}),
       .prepare = on_probation,
       .may_end_on_probation = true},
      {.name = "rollback-to",
       .command = with_app("rollback-link", {"--to", "v1", "--reason", "slow"}),
       .prepare = two_good},
      {.name = "rollback-requested",
       .command = with_app("rollback-link", {}),
       .prepare =
           [](const Host& host) {
             two_good(host);
             host.request("rollback", "v1");
           }},
      {.name = "rollback-first",
       .command = with_app("rollback-link", {}),
       .prepare = first_swapped,
       .status = 1,
       .may_end_without_link = true,
       .may_end_stuck = true},
      {.name = "rollback-irreversible",
       .command = with_app("rollback-link", {}),
       .prepare =
           [](const Host& host) {
             on_trial(host);
             write_text(host.releases / "v3" / ".irreversible", "");
           },
       .status = 1,
       .may_end_stuck = true},
      {.name = "mark-good", .command = with_app("release-mark", {"good", "v3"}), .prepare = two_good},
      {.name = "mark-bad",
       .command = with_app("release-mark", {"bad", "--reason", "it leaks"}),
       .prepare = on_trial},
      {.name = "mark-clear",
       .command = with_app("release-mark", {"clear", "v3"}),
       .prepare =
           [](const Host& host) {
             rolling_back(host);
             host.pass();
           }},
      {.name = "mark-stuck",
       .command = with_app("release-mark", {"stuck", "--reason", "no way back"}),
       .prepare = rolling_back},
      {.name = "reconcile-prepared",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = prepared},
      {.name = "reconcile-prepared-moved",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = prepared_and_moved,
       .repairs = true},
      {.name = "reconcile-swapped",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = then_rebooted(on_trial),
       .repairs = true},
      {.name = "reconcile-probation",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = then_rebooted(on_probation),
       .may_end_on_probation = true},
      {.name = "reconcile-rolling-back",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = then_rebooted(rolling_back),
       .repairs = true},
      {.name = "reconcile-first",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = then_rebooted(first_swapped),
       .may_end_without_link = true,
       .may_end_stuck = true,
       .repairs = true},
      {.name = "reconcile-unreadable",
       .command = with_app("safe-deploy", {"reconcile", app_name}),
       .prepare = unreadable},
      {.name = "prune",
       .command = with_app("release-prune", {}),
       .prepare = old_ones,
       .by_release = true,
       .in_use = "v2"},
      {.name = "plain-link",
       .command = {"atomic-link", "--save", "@/srv/previous", "releases/v3", "@/srv/current"},
       .prepare = plain_links,
       .plain = true},
      {.name = "plain-link-expect",
       .command = {"atomic-link", "--expect", "releases/v2", "releases/v3", "@/srv/current"},
       .prepare = plain_links,
       .plain = true},
      {.name = "plain-link-new",
       .command = {"atomic-link", "releases/v3", "@/srv/current"},
       .prepare = no_links,
       .plain = true,
       .may_end_without_link = true},
      {.name = "plain-rollback",
       .command = {"rollback-link", "@/srv/current", "@/srv/previous"},
       .prepare = plain_links,
       .plain = true},
  };
}

} // namespace

const std::vector<Transition>& transitions() {
  static const std::vector<Transition> list = all();
  return list;
}

} // namespace crash
