#include "swap.hpp"

#include "file.hpp"
#include "ledger.hpp"
#include "link.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "releases.hpp"
#include "request.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

tl::unexpected<Error> with_subject(Error error, const std::string& subject) {
  if (error.subject.empty()) error.subject = subject;
  return tl::unexpected<Error>(std::move(error));
}

// Points the app's link back, which needs no room on the disk where `previous` leads there already.
Result<void> point_back(const Config& config, const std::string& target, bool durable) {
  auto pointed = point_link(config.link, target, durable);
  if (pointed || !is_full(pointed.error())) return pointed;
  const auto previous = read_link(previous_link(config));
  if (!previous || *previous != target) return pointed;
  // Where the file system cannot do it, that there was no room is what is to be told.
  return exchange_links(config.link, previous_link(config), durable) ? Result<void>() : pointed;
}

// What is known when the lock is held: disk, links and record together. A dry run takes no lock and changes
// nothing.
struct Scene {
  Releases releases;
  std::optional<Ledger::Change> change; // none in a dry run
  State seen;                           // the state of a dry run
  std::string note;                     // about a record that was, or would be, set aside
  std::string current;                  // release names; empty if the link names none of ours
  std::string previous;
  std::string link_text;
  std::string previous_text;

  static Result<Scene> look(const Config& config, const Places& places, bool dry_run) {
    auto releases = Releases::open(config);
    if (!releases) return forward_error(releases);
    Scene scene{std::move(*releases), {}, {}, {}, {}, {}, {}, {}};
    if (auto taken = scene.take_state(config, places, dry_run); !taken) return forward_error(taken);
    auto looked = scene.look_at_link(config);
    if (!looked) return forward_error(looked);
    // Only a hint; where it is no link it is told when it is to be written.
    scene.previous = scene.releases.named_by(previous_link(config)).value_or("");
    scene.previous_text =
        read_link(previous_link(config)).value_or(std::optional<std::string>()).value_or("");
    return scene;
  }

  State& state() { return change ? change->state() : seen; }

  // With the loss of the record, which explains what is said now and is told this once only.
  template <class Failed>
  tl::unexpected<Error> failed(const Failed& result) const {
    Error error = result.error();
    if (!note.empty()) error.problem += fmt::format(" ({})", note);
    return tl::unexpected<Error>(std::move(error));
  }

  [[nodiscard]] Result<Moved> moved_to(const std::string& link, const std::string& release) const {
    auto target = releases.target_for(release);
    if (!target) return forward_error(target);
    return Moved{link, link_text, *target, release, link_text != *target, note};
  }

  Result<void> look_at_link(const Config& config) {
    auto text = read_link(config.link);
    if (!text) return forward_error(text);
    auto named = releases.named_by(config.link);
    if (!named) return forward_error(named);
    link_text = text->value_or("");
    current = *std::move(named);
    return {};
  }

  // A swap that was not recorded as done, for a crash or an error: as if it had not begun. Where the link
  // cannot be pointed back it stays `prepared`, for the next one to try.
  Result<void> settle_prepared(const Config& config, bool durable, const std::string& reason,
                               const State* before = nullptr) {
    if (state().phase != Phase::prepared) return {};
    if (auto looked = look_at_link(config); !looked) return looked;
    if (link_text != state().from_link && current == state().candidate) {
      auto restored = state().from_link.empty() ? remove_link(config.link, durable)
                                                : point_back(config, state().from_link, durable);
      if (!restored) return restored;
      if (auto looked = look_at_link(config); !looked) return looked;
    }
    // Who was called is told what for, with all that belongs to it.
    if (before != nullptr && before->phase == Phase::stuck)
      return change->commit(step::taken_back(state(), *before, reason));
    return change->commit(step::abandon(state(), reason, Moment::now()));
  }

  // After an error: the links and the record as they were before.
  Result<void> undo_swap(const Config& config, bool durable, const std::string& reason, const State& before) {
    if (auto settled = settle_prepared(config, durable, reason, &before); !settled) return settled;
    const std::string link = previous_link(config);
    auto now = read_link(link);
    if (!now || now->value_or("") == previous_text) return {};
    return previous_text.empty() ? remove_link(link, durable) : point_link(link, previous_text, durable);
  }

 private:
  Result<void> take_state(const Config& config, const Places& places, bool dry_run) {
    if (!dry_run) {
      auto named = releases.named_by(config.link);
      if (!named && named.error().outcome() != Outcome::no) return forward_error(named);
      auto begun = Ledger::Change::begin(places.state_dir, config.app, lock_patience, named.value_or(""));
      if (!begun) return forward_error(begun);
      note = begun->set_aside();
      change.emplace(std::move(*begun));
      return {};
    }
    auto state = Ledger::read(places.state_dir, config.app);
    if (state) {
      seen = *std::move(state);
      return {};
    }
    if (state.error().outcome() != Outcome::no) return forward_error(state);
    note = fmt::format("{}; it would be set aside", state.error().text());
    auto anew = Ledger::anew(places.state_dir, config.app, state.error().text());
    if (!anew) return forward_error(anew);
    seen = *std::move(anew);
    return {};
  }
};

const std::string cut_short = "interrupted before the swap was recorded";

Result<std::string> irreversible(const Config& config, const std::string& release) {
  return fail(Outcome::no, fmt::format("{}/{}", config.releases, release),
              "is irreversible (it holds .irreversible): not rolled back without being told to");
}

// Whether the candidate is what the link leads to, complete, and nothing speaks against it yet.
Result<bool> may_be_on_probation_again(const Scene& scene, const State& state) {
  if (scene.current != state.candidate || !state.failure.empty() || !state.condemned.empty()) return false;
  auto missing = scene.releases.lacks(state.candidate);
  if (!missing) return forward_error(missing);
  return !*missing;
}

// After a crash: on with a rollback to a good release, or with what somebody has moved the link to, else back
// to the last good one.
Result<std::string> where_to_resume(Scene& scene, const Config& config) {
  const State& state = scene.state();
  if (state.phase == Phase::probation && scene.current != state.candidate &&
      state.is(scene.current, Mark::good)) {
    auto missing = scene.releases.lacks(scene.current);
    if (!missing) return forward_error(missing);
    if (!*missing) return scene.current;
  }
  // One that was good and deployed once more is what ran before, too.
  const bool once_more = state.phase == Phase::swapped && state.from == state.candidate;
  const std::string& resumed = once_more ? state.candidate : state.target;
  if ((once_more || state.phase == Phase::rolling_back) && state.is(resumed, Mark::good)) {
    auto missing = scene.releases.lacks(resumed);
    if (!missing) return forward_error(missing);
    if (!*missing) return resumed;
  }
  if (state.phase == Phase::swapped || state.phase == Phase::probation) {
    auto one_way = scene.releases.is_irreversible(state.candidate);
    if (!one_way) return forward_error(one_way);
    if (*one_way) return irreversible(config, state.candidate);
  }
  auto target = rollback_target(scene.releases, state, scene.previous, state.candidate);
  if (!target) return with_subject(target.error(), config.app);
  return target;
}

// `previous` leads to what ran well before the candidate, and is on disk before `current` moves.
Result<void> keep_previous(const Scene& scene, const Config& config, const State& state, bool durable) {
  if (scene.current.empty() || !state.is(scene.current, Mark::good)) return {};
  if (scene.current == state.candidate) return {}; // once more: it did not run before itself
  if (scene.previous == scene.current) return {};
  auto target = scene.releases.target_for(scene.current);
  if (!target) return forward_error(target);
  return point_link(previous_link(config), *target, durable);
}

// The deploy that is under way is the first one of all, there was not even a link before; or it is being
// left.
bool is_first_deploy(const State& state) {
  return state.has_candidate() && state.from.empty() && state.from_link.empty() &&
         (state.phase != Phase::rolling_back || state.target.empty());
}

// Back to how it was before the first deploy of all.
Result<Moved> leave_first_release(Scene& scene, const Config& config, const RollbackRequest& request,
                                  const std::string& reason) {
  State& state = scene.state();
  if (!request.dry_run) {
    const State before = state;
    const bool is_intended = state.phase == Phase::rolling_back && state.target.empty();
    if (!is_intended)
      if (auto intended =
              scene.change->commit(step::roll_back(state, state.candidate, "", reason, Moment::now()));
          !intended)
        return scene.failed(intended);
    if (auto removed = remove_link(config.link, request.durable); !removed) {
      if (is_intended) return scene.failed(removed);
      // It may be gone, and only not known to be so on disk.
      if (const auto now = read_link(config.link); now && !*now && !scene.link_text.empty())
        (void)point_link(config.link, scene.link_text, request.durable);
      auto undone = scene.change->commit(step::taken_back(state, before, removed.error().text()));
      return undone ? scene.failed(removed) : scene.failed(undone);
    }
  }
  return scene.failed(Result<void>(
      fail(Outcome::no, config.app,
           fmt::format("no release to roll back to: {} was the first one, so {} {}", state.candidate,
                       config.link, request.dry_run ? "would be removed" : "is removed"))));
}

std::string reason_to_leave(const State& state, const RollbackRequest& request, bool by_person = false) {
  if (!request.reason.empty()) return request.reason;
  if (!state.failure.empty()) return state.failure;
  if (state.phase == Phase::probation) // a watch that fails has noted why
    return by_person ? std::string(rolled_back_by_hand) : "its probation was ended";
  if (!state.has_candidate()) return std::string(rolled_back_by_hand);
  return request.otherwise.empty() ? "the deploy failed" : request.otherwise;
}

} // namespace

std::string what_is_under_way(const State& state, const Config& config) {
  if (state.phase != Phase::probation)
    return fmt::format("a deploy of {} is under way (phase {})", state.candidate, phase_name(state.phase));
  const auto left = probation_left(state, config, Moment::now());
  return fmt::format(
      "{} is on probation{}: 'release-mark --app {} good' ends it now, 'safe-deploy rollback {}' leads back",
      state.candidate,
      left ? fmt::format(" for another {}", format_duration(std::chrono::ceil<std::chrono::seconds>(*left)))
           : "",
      config.app, config.app);
}

std::optional<Duration> probation_left(const State& state, const Config& config, const Moment& now) {
  if (state.phase != Phase::probation || state.since.boot != now.boot) return std::nullopt;
  const Duration passed = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::max(0.0, now.monotonic - state.since.monotonic)));
  return std::max(Duration::zero(), config.watch_duration - passed);
}

Result<ToDeploy> release_to_deploy(const Releases& releases, const State& state, const Config& config,
                                   const Places& places, const SwapRequest& request) {
  ToDeploy next{request.release.value_or(""), request.force, request.by};
  if (!request.release) {
    auto requested = read_request(places.run_dir, config, RequestKind::deploy);
    if (!requested) return forward_error(requested);
    if (*requested)
      next = {(*requested)->release, request.force || (*requested)->force, std::move((*requested)->by)};
  }
  if (next.release.empty()) {
    auto current = releases.named_by(config.link);
    if (!current) return forward_error(current);
    auto newest = newest_deployable(releases, state, *current);
    // Whoever forces it wants the one that runs, if there is no other.
    if (!newest && request.force && !current->empty()) newest = *current;
    if (!newest) return with_subject(newest.error(), config.releases);
    next.release = *std::move(newest);
  }
  const std::string shown = fmt::format("{}/{}", config.releases, next.release);
  if (!releases.contains(next.release)) return fail(Outcome::no, shown, "no such release");
  auto missing = releases.lacks(next.release);
  if (!missing) return forward_error(missing);
  if (*missing) return fail(Outcome::no, shown, fmt::format("is incomplete: it lacks {}", **missing));
  if (state.is(next.release, Mark::bad) && !next.force) {
    const auto& record = state.releases.at(next.release);
    return fail(Outcome::no, shown,
                fmt::format("is bad since {}{}{}; 'release-mark --app {} clear {}' allows it", record.at,
                            record.reason.empty() ? "" : ": ", record.reason, config.app, next.release));
  }
  return next;
}

Result<Moved> swap_to_release(const Config& config, const Places& places, const SwapRequest& request) {
  auto scene = Scene::look(config, places, request.dry_run);
  if (!scene) return forward_error(scene);
  State& state = scene->state();
  if (!request.dry_run)
    if (auto settled = scene->settle_prepared(config, request.durable, cut_short); !settled)
      return scene->failed(settled);
  if (state.has_candidate()) return fail(Outcome::busy, config.app, what_is_under_way(state, config));
  auto next = release_to_deploy(scene->releases, state, config, places, request);
  if (!next) return scene->failed(next);
  const std::string& release = next->release;
  auto moved = scene->moved_to(config.link, release);
  if (!moved) return moved;
  const bool once_more = scene->current == release && next->force;
  if (scene->current == release && state.phase == Phase::idle && !once_more) {
    // Else the next one, which asks for nothing, would get this again.
    if (!request.dry_run && !request.release) drop_request(places.run_dir, config.app, RequestKind::deploy);
    moved->to = moved->from;
    moved->changed = false;
    return moved;
  }
  if (once_more) moved->changed = true;
  if (request.dry_run) return moved;

  if (request.durable)
    if (auto synced = scene->releases.sync(release); !synced) return scene->failed(synced);
  const State before = state;
  auto intent = step::intend(state, release, scene->current, scene->link_text, Moment::now());
  if (intent) {
    intent->by = std::move(next->by);
    intent->forced = next->force;
  }
  if (auto intended = scene->change->commit(intent); !intended) return scene->failed(intended);
  auto swapped = keep_previous(*scene, config, state, request.durable);
  if (swapped) swapped = point_link(config.link, moved->to, request.durable);
  if (swapped) swapped = scene->change->commit(step::swapped(state, Moment::now()));
  if (!swapped) {
    if (auto undone = scene->undo_swap(config, request.durable, swapped.error().text(), before); !undone)
      return scene->failed(undone);
    return scene->failed(swapped);
  }
  drop_request(places.run_dir, config.app, RequestKind::deploy);
  moved->changed = true;
  return moved;
}

Result<Moved> roll_back(const Config& config, const Places& places, const RollbackRequest& request) {
  auto scene = Scene::look(config, places, request.dry_run);
  if (!scene) return forward_error(scene);
  State& state = scene->state();
  std::optional<std::string> target = request.release;
  Asker by = request.by;
  bool by_person = false;
  if (!target) {
    auto requested = read_request(places.run_dir, config, RequestKind::rollback);
    // Whoever may leave requests must not be able to keep a candidate that fails.
    if (!requested && !(requested.error().outcome() == Outcome::no && state.has_candidate()))
      return scene->failed(requested);
    if (!requested) {
      scene->note +=
          fmt::format("{}{} (passed over)", scene->note.empty() ? "" : "; ", requested.error().text());
    } else if (*requested) {
      target = (*requested)->release;
      by_person = true;
      by = std::move((*requested)->by);
    }
  }
  const bool nothing_asked = !target && request.reason.empty();
  if (state.phase == Phase::prepared) {
    const std::string candidate = state.candidate;
    Moved as_before{config.link, scene->link_text, state.from_link, state.from};
    as_before.changed = scene->link_text != state.from_link;
    as_before.note = fmt::format("the swap to {} was not recorded as done: as before", candidate);
    if (!request.dry_run)
      if (auto settled = scene->settle_prepared(config, request.durable, cut_short); !settled)
        return scene->failed(settled);
    if (nothing_asked) return as_before;
  }
  const std::string left = state.has_candidate() ? state.candidate : scene->current;
  const auto unchanged = [&]() -> Result<Moved> {
    return Moved{config.link, scene->link_text, scene->link_text, scene->current, false, scene->note};
  };
  if (nothing_asked && state.is(scene->current, Mark::good)) {
    const auto missing = scene->releases.lacks(scene->current);
    if (!missing) return scene->failed(missing);
    if (!*missing && state.phase == Phase::idle) return unchanged();
    // The cause is mended, and the release is to prove itself once more.
    if (!*missing && state.phase == Phase::stuck) target = scene->current;
  }
  if (!target && nothing_asked) {
    const auto one_way = scene->releases.is_irreversible(left);
    if (!one_way) return scene->failed(one_way);
    if (*one_way) return scene->failed(irreversible(config, left));
  }
  if (target) {
    const std::string shown = fmt::format("{}/{}", config.releases, *target);
    if (!scene->releases.contains(*target))
      return scene->failed(Result<void>(fail(Outcome::no, shown, "no such release")));
    const auto missing = scene->releases.lacks(*target);
    if (!missing) return scene->failed(missing);
    if (*missing)
      return scene->failed(
          Result<void>(fail(Outcome::no, shown, fmt::format("is incomplete: it lacks {}", **missing))));
    if (*target == scene->current && state.phase == Phase::idle) {
      if (!request.dry_run) drop_request(places.run_dir, config.app, RequestKind::rollback);
      return unchanged();
    }
  } else {
    auto chosen = rollback_target(scene->releases, state, scene->previous, left);
    if (!chosen && chosen.error().outcome() == Outcome::no && is_first_deploy(state))
      return leave_first_release(*scene, config, request, reason_to_leave(state, request));
    if (!chosen && chosen.error().subject.empty()) chosen.error().subject = config.app;
    if (!chosen && state.has_candidate() && state.from.empty() && !state.from_link.empty())
      chosen.error().problem += fmt::format("; before {} the link led to {}, which is none of the releases",
                                            state.candidate, printable(state.from_link));
    if (!chosen) return scene->failed(chosen);
    target = *chosen;
  }
  auto moved = scene->moved_to(config.link, *target);
  if (!moved || request.dry_run) return moved;

  const std::string reason = reason_to_leave(state, request, by_person);
  if (request.durable)
    if (auto synced = scene->releases.sync(*target); !synced) return scene->failed(synced);
  const State before = state;
  auto intent = step::roll_back(state, left, *target, reason, Moment::now());
  if (intent) intent->by = std::move(by);
  if (auto intended = scene->change->commit(intent); !intended) return scene->failed(intended);
  if (auto pointed = point_back(config, moved->to, request.durable); !pointed) {
    // What failed may be what comes after it: the rollback is under way then.
    const auto now = read_link(config.link);
    if (now && *now == moved->to) return scene->failed(pointed);
    auto undone = scene->change->commit(step::taken_back(state, before, pointed.error().text()));
    return undone ? scene->failed(pointed) : scene->failed(undone);
  }
  drop_request(places.run_dir, config.app, RequestKind::rollback);
  return moved;
}

Result<Moved> reconcile(const Config& config, const Places& places, bool durable,
                        const MayRepair& may_repair) {
  auto scene = Scene::look(config, places, false);
  if (!scene) return forward_error(scene);
  State& state = scene->state();
  Moved moved{config.link, scene->link_text, scene->link_text, scene->current, false, scene->note};
  if (state.phase == Phase::prepared) {
    moved.note = fmt::format("the swap to {} was not recorded as done: as before", state.candidate);
    if (auto settled = scene->settle_prepared(config, durable, cut_short); !settled)
      return forward_error(settled);
    moved.to = scene->link_text;
    moved.release = scene->current;
    moved.changed = moved.to != moved.from;
    return moved;
  }
  if (!state.has_candidate()) return moved;
  // In the boot in which it began the probation goes on.
  if (state.phase == Phase::probation && state.since.boot == Moment::now().boot) return moved;
  if (may_repair)
    if (auto may = may_repair(state); !may) return forward_error(may);
  if (state.phase == Phase::probation) {
    auto again = may_be_on_probation_again(*scene, state);
    if (!again) return forward_error(again);
    if (*again) {
      if (auto noted = scene->change->commit(step::probation_again(state, Moment::now())); !noted)
        return forward_error(noted);
      moved.note = fmt::format("the probation of {} begins again", state.candidate);
      return moved;
    }
  }

  std::string reason = fmt::format("interrupted in phase {}", phase_name(state.phase));
  if (state.phase == Phase::probation && !state.failure.empty())
    reason += fmt::format(", after it had failed: {}", state.failure);
  auto target = where_to_resume(*scene, config);
  // Whatever keeps it from being known may be over at the next try.
  if (!target && target.error().outcome() != Outcome::no) return forward_error(target);
  auto one_way = scene->releases.is_irreversible(state.candidate);
  if (!one_way) return forward_error(one_way);
  if (!target && is_first_deploy(state) && !*one_way) {
    moved.note =
        fmt::format("the first deploy, of {}, was {}: {} is removed", state.candidate, reason, config.link);
    if (auto removed = remove_link(config.link, durable); !removed) return forward_error(removed);
    if (auto noted = scene->change->commit(step::interrupted(state, "", reason, Moment::now())); !noted)
      return forward_error(noted);
    moved.to.clear();
    moved.release.clear();
    moved.changed = !moved.from.empty();
    return moved;
  }
  if (!target) {
    const std::string why = fmt::format("{}, and {}", reason, target.error().text());
    if (auto noted = scene->change->commit(step::stuck(state, why, Moment::now(), step::Blame::nobody));
        !noted)
      return forward_error(noted);
    moved.note = why;
    return moved;
  }
  auto to = scene->releases.target_for(*target);
  if (!to) return forward_error(to);
  moved.note = fmt::format("the deploy of {} was {}: back to {}", state.candidate, reason, *target);
  if (auto pointed = point_back(config, *to, durable); !pointed) return forward_error(pointed);
  if (auto noted = scene->change->commit(step::interrupted(state, *target, reason, Moment::now())); !noted)
    return forward_error(noted);
  moved.to = *to;
  moved.release = *target;
  moved.changed = moved.to != moved.from;
  return moved;
}

Result<bool> is_outdated(const Config& config, const Places& places) {
  auto releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  auto state = Ledger::read(places.state_dir, config.app);
  // On probation there is nothing to do, where nothing newer is there either and nobody has asked.
  if (state && state->phase == Phase::probation &&
      !has_request(places.run_dir, config.app, RequestKind::deploy).value_or(true)) {
    auto newest = newest_deployable(*releases, *state, state->candidate);
    return !newest || *newest != state->candidate;
  }
  // What cannot be read is for the deploy to set aside.
  if (!state || state->phase != Phase::idle) return true;
  auto current = releases->named_by(config.link);
  if (!current) return forward_error(current);
  auto requested = read_request(places.run_dir, config, RequestKind::deploy);
  if (!requested) return true; // to be refused
  if (*requested) return (*requested)->force || (*requested)->release != *current;
  auto newest = newest_deployable(*releases, *state, *current);
  return !newest || *newest != *current;
}

std::vector<std::string> requested_releases(const Config& config, const Places& places) {
  std::vector<std::string> releases;
  for (const RequestKind kind : {RequestKind::deploy, RequestKind::rollback})
    if (const auto request = read_request(places.run_dir, config, kind); request && *request)
      releases.push_back((*request)->release);
  return releases;
}

Result<bool> has_candidate_to_leave(const Places& places, const std::string& app) {
  auto state = Ledger::read(places.state_dir, app);
  if (!state) return forward_error(state);
  return state->has_candidate() || state->phase == Phase::prepared;
}

Result<bool> is_rollback_asked_for(const Places& places, const std::string& app) {
  return has_request(places.run_dir, app, RequestKind::rollback);
}

} // namespace safe_deploy
