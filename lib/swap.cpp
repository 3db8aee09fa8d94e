#include "swap.hpp"

#include "ledger.hpp"
#include "link.hpp"
#include "releases.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

const std::string deploy_request = "next";
const std::string rollback_request = "rollback";

tl::unexpected<Error> with_subject(Error error, const std::string& subject) {
  if (error.subject.empty()) error.subject = subject;
  return tl::unexpected<Error>(std::move(error));
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

  static Result<Scene> look(const Config& config, const Places& places, bool dry_run) {
    auto releases = Releases::open(config);
    if (!releases) return forward_error(releases);
    Scene scene{std::move(*releases), {}, {}, {}, {}, {}, {}};
    if (auto taken = scene.take_state(config, places, dry_run); !taken) return forward_error(taken);
    auto looked = scene.look_at_link(config);
    if (!looked) return forward_error(looked);
    // Only a hint; where it is no link it is told when it is to be written.
    scene.previous = scene.releases.named_by(previous_link(config)).value_or("");
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
  Result<void> settle_prepared(const Config& config, bool durable, const std::string& reason) {
    if (state().phase != Phase::prepared) return {};
    if (auto looked = look_at_link(config); !looked) return looked;
    if (link_text != state().from_link && current == state().candidate) {
      auto restored = state().from_link.empty() ? remove_link(config.link, durable)
                                                : point_link(config.link, state().from_link, durable);
      if (!restored) return restored;
      if (auto looked = look_at_link(config); !looked) return looked;
    }
    return change->commit(step::abandon(state(), reason, Moment::now()));
  }

 private:
  Result<void> take_state(const Config& config, const Places& places, bool dry_run) {
    if (!dry_run) {
      auto begun = Ledger::Change::begin(places.state_dir, config.app);
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
    return {};
  }
};

const std::string cut_short = "interrupted before the swap was recorded";

Result<std::string> irreversible(const Config& config, const std::string& release) {
  return fail(Outcome::no, fmt::format("{}/{}", config.releases, release),
              "is irreversible (it holds .irreversible): not rolled back without being told to");
}

// After a crash: on with a rollback to a good release, else back to the last good one.
Result<std::string> where_to_resume(Scene& scene, const Config& config) {
  const State& state = scene.state();
  const auto is_sound = [&](const std::string& release) {
    return state.is(release, Mark::good) && !scene.releases.lacks(release);
  };
  if (state.phase == Phase::rolling_back && is_sound(state.target)) return state.target;
  if (state.phase == Phase::swapped && scene.releases.is_irreversible(state.candidate))
    return irreversible(config, state.candidate);
  auto target = rollback_target(scene.releases, state, scene.previous, state.candidate);
  if (!target) return with_subject(target.error(), config.app);
  return target;
}

// `previous` leads to what ran well before the candidate, and is on disk before `current` moves.
Result<void> keep_previous(const Scene& scene, const Config& config, const State& state, bool durable) {
  if (scene.current.empty() || !state.is(scene.current, Mark::good)) return {};
  if (scene.previous == scene.current) return {};
  auto target = scene.releases.target_for(scene.current);
  if (!target) return forward_error(target);
  return point_link(previous_link(config), *target, durable);
}

} // namespace

Result<std::string> release_to_deploy(const Releases& releases, const State& state, const Config& config,
                                      const Places& places, const SwapRequest& request) {
  std::optional<std::string> release = request.release;
  if (!release) {
    auto requested = read_request(places.run_dir, config, deploy_request);
    if (!requested) return forward_error(requested);
    release = *requested;
  }
  if (!release) {
    auto current = releases.named_by(config.link);
    if (!current) return current;
    auto newest = newest_deployable(releases, state, *current);
    if (!newest) return with_subject(newest.error(), config.releases);
    return newest;
  }
  const std::string shown = fmt::format("{}/{}", config.releases, *release);
  if (!releases.contains(*release)) return fail(Outcome::no, shown, "no such release");
  if (const auto missing = releases.lacks(*release))
    return fail(Outcome::no, shown, fmt::format("is incomplete: it lacks {}", *missing));
  if (state.is(*release, Mark::bad) && !request.force) {
    const auto& record = state.releases.at(*release);
    return fail(Outcome::no, shown,
                fmt::format("is bad since {}{}{}; 'release-mark --app {} clear {}' allows it", record.at,
                            record.reason.empty() ? "" : ": ", record.reason, config.app, *release));
  }
  return *release;
}

Result<Moved> swap_to_release(const Config& config, const Places& places, const SwapRequest& request) {
  auto scene = Scene::look(config, places, request.dry_run);
  if (!scene) return forward_error(scene);
  State& state = scene->state();
  if (!request.dry_run)
    if (auto settled = scene->settle_prepared(config, request.durable, cut_short); !settled)
      return scene->failed(settled);
  if (state.has_candidate())
    return fail(
        Outcome::busy, config.app,
        fmt::format("a deploy of {} is under way (phase {})", state.candidate, phase_name(state.phase)));
  auto release = release_to_deploy(scene->releases, state, config, places, request);
  if (!release) return scene->failed(release);
  auto moved = scene->moved_to(config.link, *release);
  if (!moved) return moved;
  if (scene->current == *release && state.phase == Phase::idle) {
    moved->to = moved->from;
    moved->changed = false;
    return moved;
  }
  if (request.dry_run) return moved;

  if (request.durable)
    if (auto synced = scene->releases.sync(*release); !synced) return scene->failed(synced);
  if (auto intended = scene->change->commit(
          step::intend(state, *release, scene->current, scene->link_text, Moment::now()));
      !intended)
    return scene->failed(intended);
  auto swapped = keep_previous(*scene, config, state, request.durable);
  if (swapped) swapped = point_link(config.link, moved->to, request.durable);
  if (!swapped) {
    if (auto undone = scene->settle_prepared(config, request.durable, swapped.error().text()); !undone)
      return scene->failed(undone);
    return scene->failed(swapped);
  }
  if (auto recorded = scene->change->commit(step::swapped(state, Moment::now())); !recorded)
    return scene->failed(recorded);
  drop_request(places.run_dir, config.app, deploy_request);
  moved->changed = true;
  return moved;
}

Result<Moved> roll_back(const Config& config, const Places& places, const RollbackRequest& request) {
  auto scene = Scene::look(config, places, request.dry_run);
  if (!scene) return forward_error(scene);
  State& state = scene->state();
  std::optional<std::string> target = request.release;
  if (!target) {
    auto requested = read_request(places.run_dir, config, rollback_request);
    if (!requested) return scene->failed(requested);
    target = *requested;
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
  if (nothing_asked && state.phase == Phase::idle && state.is(scene->current, Mark::good)) {
    auto unchanged = scene->moved_to(config.link, scene->current);
    if (unchanged) unchanged->to = unchanged->from;
    if (unchanged) unchanged->changed = false;
    return unchanged;
  }
  if (nothing_asked && scene->releases.is_irreversible(left))
    return scene->failed(irreversible(config, left));
  if (target) {
    const std::string shown = fmt::format("{}/{}", config.releases, *target);
    if (!scene->releases.contains(*target))
      return scene->failed(Result<void>(fail(Outcome::no, shown, "no such release")));
    if (const auto missing = scene->releases.lacks(*target))
      return scene->failed(
          Result<void>(fail(Outcome::no, shown, fmt::format("is incomplete: it lacks {}", *missing))));
  } else {
    auto chosen = rollback_target(scene->releases, state, scene->previous, left);
    if (!chosen && chosen.error().subject.empty()) chosen.error().subject = config.app;
    if (!chosen) return scene->failed(chosen);
    target = *chosen;
  }
  auto moved = scene->moved_to(config.link, *target);
  if (!moved || request.dry_run) return moved;

  std::string reason = request.reason.empty() ? state.failure : request.reason;
  if (reason.empty()) reason = state.has_candidate() ? "the deploy failed" : "rolled back by hand";
  if (request.durable)
    if (auto synced = scene->releases.sync(*target); !synced) return scene->failed(synced);
  if (auto intended = scene->change->commit(step::roll_back(state, left, *target, reason, Moment::now()));
      !intended)
    return scene->failed(intended);
  if (auto pointed = point_link(config.link, moved->to, request.durable); !pointed)
    return scene->failed(pointed);
  drop_request(places.run_dir, config.app, rollback_request);
  return moved;
}

Result<Moved> reconcile(const Config& config, const Places& places, bool durable) {
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
  if (state.phase != Phase::swapped && state.phase != Phase::rolling_back) return moved;

  const std::string reason = fmt::format("interrupted in phase {}", phase_name(state.phase));
  const auto target = where_to_resume(*scene, config);
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
  if (auto pointed = point_link(config.link, *to, durable); !pointed) return forward_error(pointed);
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
  // What cannot be read is for the deploy to set aside.
  if (!state || state->phase != Phase::idle) return true;
  auto current = releases->named_by(config.link);
  if (!current) return forward_error(current);
  auto requested = read_request(places.run_dir, config, deploy_request);
  if (!requested) return true; // to be refused
  if (*requested) return **requested != *current;
  auto newest = newest_deployable(*releases, *state, *current);
  return !newest || *newest != *current;
}

Result<bool> has_candidate_to_leave(const Places& places, const std::string& app) {
  auto state = Ledger::read(places.state_dir, app);
  if (!state) return forward_error(state);
  return state->has_candidate() || state->phase == Phase::prepared;
}

Result<bool> is_rollback_asked_for(const Places& places, const std::string& app) {
  return has_request(places.run_dir, app, rollback_request);
}

} // namespace safe_deploy
