#include "checks.hpp"

#include "json.hpp"
#include "link.hpp"
#include "prune.hpp"
#include "tree.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <sstream>
#include <vector>

namespace fs = std::filesystem;
using namespace safe_deploy;

namespace crash {

namespace {

using Verdicts = std::map<std::string, std::string>;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
  return lines;
}

std::string of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What is known after each line of the history, and before the first.
std::vector<Verdicts> told_by(const std::vector<std::string>& history) {
  std::vector<Verdicts> told(1);
  for (const auto& text : history) {
    Verdicts now = told.back();
    const Json line = parse_json(text);
    // A record that was lost knows nothing good any more.
    if (of(line, "event") == "rebuilt")
      std::erase_if(now, [](const auto& known) { return known.second == "good"; });
    if (const auto verdicts = line.find("verdicts"); verdicts != line.end())
      for (const auto& [release, verdict] : verdicts->items()) {
        now.erase(release);
        if (verdict.is_string()) now[release] = verdict.get<std::string>();
      }
    told.push_back(std::move(now));
  }
  return told;
}

Verdicts recorded(const Host& host) {
  Verdicts verdicts;
  for (const auto& [release, record] : host.state().releases)
    verdicts[release] = std::string(mark_name(record.verdict));
  return verdicts;
}

std::string shown(const Verdicts& verdicts) {
  std::string text;
  for (const auto& [release, verdict] : verdicts) text += " " + release + " " + verdict;
  return text.empty() ? " none" : text;
}

bool one_of(const std::string& text, const std::string& a, const std::string& b) {
  return text == a || text == b;
}

std::string or_none(const std::string& text) {
  return text.empty() ? "(none)" : text;
}

std::vector<std::string> whole_lines(const Host& host) {
  return need(Ledger::history(host.places.state_dir, app_name), "the history");
}

// What is on the host and is no part of it.
std::vector<std::string> rests(const Host& host) {
  std::vector<std::string> found;
  const auto look_in = [&](const fs::path& directory, const std::set<std::string>& known) {
    if (!fs::exists(directory)) return;
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename();
      const bool kept = known.contains(name) || name.starts_with("state.json.unreadable-");
      if (!kept) found.push_back(entry.path().lexically_relative(host.root));
    }
  };
  look_in(host.links, {"current", "previous", releases_name});
  // .spare is the next state file of a full disk.
  look_in(host.app_state, {"state.json", "history.jsonl", "lock", ".spare", "incidents"});
  look_in(fs::path(host.places.state_dir), {app_name});
  // RUN_DIR/APP holds what was asked for and is not done.
  for (const auto& entry : fs::directory_iterator(host.releases))
    if (const std::string name = entry.path().filename(); !name.starts_with('v'))
      found.push_back(entry.path().lexically_relative(host.root));
  return found;
}

void check_nothing_left(const Host& host) {
  std::string text;
  for (const auto& name : rests(host)) text += " " + name;
  if (!text.empty()) throw Wrong("left behind:" + text);
}

void check_history(const Host& host) {
  if (!fs::exists(host.history_file)) return;
  const std::string text = read_text(host.history_file);
  std::size_t torn = 0;
  for (const auto& line : lines_of(text))
    if (!Json::accept(line)) ++torn;
  // One that was torn before this is allowed.
  const bool had_one = text.find("half a li") != std::string::npos;
  if (torn > (had_one ? 1U : 0U)) throw Wrong("a line of the history is torn");
}

void check_verdicts(const Host& host, const View& before) {
  const auto history = told_by(whole_lines(host));
  if (history.size() < before.lines + 1) throw Wrong("the history has lost lines");
  const Verdicts now = recorded(host);
  // The history comes first: the record is at its end or one step before.
  const auto begin =
      history.begin() + static_cast<std::ptrdiff_t>(std::max(before.lines, history.size() - 2));
  if (std::find(begin, history.end(), now) == history.end())
    throw Wrong("the verdicts are not what the history tells: recorded" + shown(now) + ", told" +
                shown(history.back()));
}

// What is bad stays bad, whatever becomes of the record.
void check_bad_ones(const Host& host, const Verdicts& known) {
  const Verdicts now = recorded(host);
  for (const auto& [release, verdict] : known)
    if (const auto found = now.find(release);
        verdict == "bad" && (found == now.end() || found->second != "bad"))
      throw Wrong("it is not known any more that " + release + " is bad");
}

// A record without the verdicts on some releases.
template <class Goes>
std::string without(const std::string& record, Goes goes) {
  Json state = parse_json(record);
  if (!state.is_object()) return record;
  Json kept = Json::object();
  for (const auto& [name, release] : state["releases"].items())
    if (!goes(name)) kept[name] = release;
  state["releases"] = std::move(kept);
  return to_text(state);
}

void check_boot(const Host& host, const Transition& transition) {
  // A record that cannot be read is made anew from the history.
  const bool readable = look(host).readable;
  const Verdicts known = readable ? recorded(host) : told_by(whole_lines(host)).back();
  (void)reconcile_app(host);
  const State state = host.state();
  const bool stuck = state.phase == Phase::stuck;
  const bool was_stuck = transition.name.find("stuck") != std::string::npos;
  const bool on_probation = state.phase == Phase::probation && transition.may_end_on_probation;
  if (state.phase != Phase::idle && !on_probation && !(stuck && (was_stuck || transition.may_end_stuck)))
    throw Wrong("after the boot the phase is " + std::string(phase_name(state.phase)) + ": " + state.stuck);
  if (host.link_text("current").empty() && transition.may_end_without_link) {
    if (!state.current.empty()) throw Wrong("no link, and the record says " + state.current);
  } else if (const std::string current = host.current(); state.current != current) {
    // Before anything is recorded the link alone knows; and a person who is called looks at that.
    if (fs::exists(host.state_file) && !stuck)
      throw Wrong("current is " + current + ", and the record says " + or_none(state.current));
  }
  check_bad_ones(host, known);
  const std::string at_rest = describe_tree(host.root);
  if (reconcile_app(host).changed || describe_tree(host.root) != at_rest)
    throw Wrong("a second reconcile changes something");
  if (on_probation) host.step([](State& s, const Moment& now) { return step::held(s, now); });
}

void check_next_deploys(const Host& host) {
  // ExecStopPost= of safe-deploy-rollback@.service.
  fs::remove(fs::path(host.places.run_dir) / app_name / "rollback");
  // Two, so that each link has moved once more.
  for (const char* release : {"v8", "v9"}) {
    host.add(release);
    host.deploy(release);
    if (host.current() != release) throw Wrong("the next deploy leads to " + host.current());
    const State state = host.state();
    if (state.phase != Phase::idle || !state.is(release, Mark::good) || state.current != release)
      throw Wrong("the next deploy is not recorded as good");
  }
  check_history(host);
  (void)need(prune(host.config, host.places, {}, {.keep = 2, .dry_run = false}), "prune");
  if (host.current() != "v9") throw Wrong("the prune removed something that is needed");
  check_nothing_left(host);
}

void check_next_rollback(const Host& host) {
  const State before = host.state();
  const std::string target =
      need(safe_deploy::roll_back(host.config, host.places,
                                  {.release = {}, .reason = "slow", .durable = true, .dry_run = false}),
           "the next rollback")
          .release;
  if (host.current() != target || !before.is(target, Mark::good))
    throw Wrong("the next rollback leads to " + host.current() + ", which is not good");
  host.pass();
  if (host.state().phase != Phase::idle || !host.state().is("v9", Mark::bad))
    throw Wrong("the next rollback is not recorded");
  check_nothing_left(host);
}

void check_plain_continues(const Host& host) {
  const std::string now = host.link_text("current");
  if (now != "releases/v1") {
    const LinkChange change{.target = "releases/v1",
                            .link = host.links / "current",
                            .expect = {},
                            .save = host.links / "previous"};
    (void)need(change_link(change), "the next change");
    if (host.link_text("current") != "releases/v1") throw Wrong("the next change does nothing");
    if (!now.empty() && host.link_text("previous") != now) throw Wrong("the next change does not save");
  }
  need(point_link(host.links / "previous", "releases/v2", true), "the next link");
  check_nothing_left(host);
}

} // namespace

Moved reconcile_app(const Host& host) {
  return need(reconcile(host.config, host.places), "reconcile");
}

namespace {

// A rollback with no room on the disk: it makes no link, but lets the two change places (swap.cpp).
bool exchanged(const View& before, const View& now) {
  return now.current == before.previous && now.previous == before.current;
}

} // namespace

View look(const Host& host) {
  View view;
  view.current = host.link_text("current");
  view.previous = host.link_text("previous");
  view.lines = fs::exists(host.app_state) ? whole_lines(host).size() : 0;
  if (fs::exists(host.state_file)) view.record = read_text(host.state_file);
  if (view.record.empty()) view.record = state_to_json(app_name, State{}); // nothing is known
  Json state = parse_json(view.record);
  view.readable = (state.is_object() && Ledger::read(host.places.state_dir, app_name));
  if (view.readable && state.is_object()) {
    view.last = of(state["last"], "outcome");
    for (const char* key : {"since", "last"}) state.erase(key);
    for (auto& [name, release] : state["releases"].items()) release.erase("at");
    view.record = without_times(to_text(state));
  }
  for (const auto& entry : fs::directory_iterator(host.releases))
    view.releases.insert(entry.path().filename());
  return view;
}

void check_invariants(const Host& host, const Transition& transition, const View& before, const View& settled,
                      const View& after) {
  const View now = look(host);
  if (!one_of(now.current, before.current, after.current) && now.current != settled.current)
    throw Wrong("current points at " + or_none(now.current));
  if (!one_of(now.previous, before.previous, after.previous) && !exchanged(before, now))
    throw Wrong("previous points at " + or_none(now.previous));
  if (!now.current.empty()) (void)host.current();
  const bool is_new = now.current == after.current && now.current != before.current;
  if (is_new && now.previous != after.previous && !exchanged(before, now))
    throw Wrong("current has moved, and previous has not");
  if (transition.plain) return;
  check_history(host);
  if (!now.readable && before.readable) throw Wrong("the record cannot be read");
  if (now.readable && before.readable) check_verdicts(host, before);
}

void check_continues(const Host& host, const Transition& transition) {
  if (transition.plain) {
    check_plain_continues(host);
    return;
  }
  check_boot(host, transition);
  check_next_deploys(host);
  check_next_rollback(host);
}

void check_error(const Host& host, const Transition& transition, const View& before, const View& settled,
                 const View& after, const Ran& ran, int error) {
  if (ran.hung) throw Wrong("it hangs");
  if (WIFSIGNALED(ran.status)) throw Wrong("it died by signal " + std::to_string(WTERMSIG(ran.status)));
  const int status = WEXITSTATUS(ran.status);
  const Call& call = ran.at;
  const View now = look(host);
  const auto same_as = [&](const View& other) {
    const bool same = now.current == other.current &&
                      (now.previous == other.previous || (error == ENOSPC && exchanged(before, now)));
    if (!transition.by_release) return same && now.record == other.record && now.releases == other.releases;
    const auto goes = [&](const std::string& name) {
      return before.releases.contains(name) && !after.releases.contains(name);
    };
    return same && without(now.record, goes) == without(other.record, goes);
  };
  const bool as_after = same_as(after);
  // Of a deploy that was given up it is told how it ended, and nothing else.
  const bool as_before =
      (same_as(before) && (now.last == before.last || now.last == "abandoned")) || same_as(settled);
  const bool half_repaired =
      transition.repairs && now.record == before.record && now.current == settled.current;
  // A record that is set aside and not yet made anew: the next one finds the history alone, and does it.
  const bool set_aside =
      !before.readable && !fs::exists(host.state_file) && now.lines > 1 && now.current == before.current;
  const std::string told = " (exit " + std::to_string(status) + ", " + ran.errors + ")";
  // That a process cannot be looked into is told, and no reason to keep what it may use.
  const bool told_denied =
      transition.by_release && error == EACCES && ran.errors.find("looked into") != std::string::npos;
  if (status == transition.status) {
    if (!as_after && !told_denied) throw Wrong("it says that it is done, and it is not" + told);
    return;
  }
  const std::size_t colon = ran.errors.find(": ");
  if (colon == std::string::npos || ran.errors.find(": ", colon + 2) == std::string::npos)
    throw Wrong("it does not say what failed" + told);
  if (!as_before && !as_after && !half_repaired && !set_aside)
    throw Wrong("it is neither as before nor as after" + told + "\n" + or_none(now.current) + "\n" +
                now.record + "\nbefore:\n" + or_none(before.current) + "\n" + before.record + "\nafter:\n" +
                or_none(after.current) + "\n" + after.record);
  if (status != 71) throw Wrong("the exit status is not 71" + told);
  if (error == EINTR && one_of(call_name(call.number), "flock", "read"))
    throw Wrong("it is not tried again" + told);
  if (transition.by_release) return; // what is aside is told, and left to the next one
  const bool kept_it = call.number == SYS_unlinkat || call.number == SYS_unlink;
  if (!kept_it) {
    std::string text;
    for (const auto& name : rests(host))
      if (!name.starts_with("run/") && name.find("4194303") == std::string::npos &&
          name != "state/app/.state.json.new")
        text += " " + name;
    if (!text.empty()) throw Wrong("left behind after an error:" + text + told);
  }
}

} // namespace crash
