#include "swap.hpp"

#include "ledger.hpp"
#include "link.hpp"
#include "releases.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace safe_deploy {

namespace {

const std::string deploy_request = "next";
const std::string rollback_request = "rollback";

tl::unexpected<Error> with_subject(Error error, const std::string& subject) {
  if (error.subject.empty()) error.subject = subject;
  return tl::unexpected<Error>(std::move(error));
}

// What is known when the lock is held: disk, links and record together.
struct Scene {
  Releases releases;
  Ledger::Change change;
  std::string current; // release names; empty if the link names none of ours
  std::string previous;
  std::string link_text;

  static Result<Scene> look(const Config& config, const Places& places) {
    auto releases = Releases::open(config);
    if (!releases) return forward_error(releases);
    auto change = Ledger::Change::begin(places.state_dir, config.app);
    if (!change) return forward_error(change);
    auto text = read_link(config.link);
    if (!text) return forward_error(text);
    auto current = releases->named_by(config.link);
    if (!current) return forward_error(current);
    auto previous = releases->named_by(previous_link(config));
    if (!previous) return forward_error(previous);
    return Scene{std::move(*releases), std::move(*change), *current, *previous, text->value_or("")};
  }

  [[nodiscard]] Result<Moved> moved_to(const std::string& link, const std::string& release) const {
    auto target = releases.target_for(release);
    if (!target) return forward_error(target);
    return Moved{link, link_text, *target, release, link_text != *target, change.set_aside()};
  }

  // A swap that was cut short by a crash before it was recorded as done: as if it had not begun.
  Result<void> settle_prepared(const Config& config, bool durable) {
    State& state = change.state();
    if (state.phase != Phase::prepared) return {};
    if (current == state.candidate && current != state.from) {
      if (state.from.empty()) {
        if (unlink(config.link.c_str()) < 0) return fail_errno(config.link, "cannot remove");
        link_text.clear();
      } else {
        auto target = releases.target_for(state.from);
        if (!target) return forward_error(target);
        if (auto pointed = point_link(config.link, *target, durable); !pointed) return pointed;
        link_text = *target;
      }
      current = state.from;
    }
    return change.commit(step::abandon(state, "interrupted before the swap was recorded", Moment::now()));
  }
};

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
    auto requested = read_request(places.run_dir, config.app, deploy_request);
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
                fmt::format("is bad since {}{}{}; --force or 'release-mark clear' allows it", record.at,
                            record.reason.empty() ? "" : ": ", record.reason));
  }
  return *release;
}

Result<Moved> swap_to_release(const Config& config, const Places& places, const SwapRequest& request) {
  auto scene = Scene::look(config, places);
  if (!scene) return forward_error(scene);
  State& state = scene->change.state();
  if (!request.dry_run)
    if (auto settled = scene->settle_prepared(config, request.durable); !settled)
      return forward_error(settled);
  if (state.has_candidate())
    return fail(
        Outcome::busy, config.app,
        fmt::format("a deploy of {} is under way (phase {})", state.candidate, phase_name(state.phase)));
  auto release = release_to_deploy(scene->releases, state, config, places, request);
  if (!release) return forward_error(release);
  auto moved = scene->moved_to(config.link, *release);
  if (!moved) return moved;
  if (scene->current == *release && state.phase == Phase::idle) {
    moved->to = moved->from;
    moved->changed = false;
    return moved;
  }
  if (request.dry_run) return moved;

  if (request.durable)
    if (auto synced = scene->releases.sync(*release); !synced) return forward_error(synced);
  if (auto intended = scene->change.commit(step::intend(state, *release, scene->current, Moment::now()));
      !intended)
    return forward_error(intended);
  auto swapped = keep_previous(*scene, config, state, request.durable);
  if (swapped) swapped = point_link(config.link, moved->to, request.durable);
  if (!swapped) {
    if (auto undone = scene->settle_prepared(config, request.durable); !undone) return forward_error(undone);
    return forward_error(swapped);
  }
  if (auto recorded = scene->change.commit(step::swapped(state, Moment::now())); !recorded)
    return forward_error(recorded);
  drop_request(places.run_dir, config.app, deploy_request);
  moved->changed = true;
  return moved;
}

Result<Moved> roll_back(const Config& config, const Places& places, const RollbackRequest& request) {
  auto scene = Scene::look(config, places);
  if (!scene) return forward_error(scene);
  State& state = scene->change.state();
  if (state.phase == Phase::prepared) {
    const std::string candidate = state.candidate;
    if (auto settled = scene->settle_prepared(config, request.durable); !settled)
      return forward_error(settled);
    if (!request.release && request.reason.empty()) {
      Moved as_before{config.link, scene->link_text, scene->link_text, scene->current};
      as_before.note = fmt::format("the deploy of {} had not begun to swap: as before", candidate);
      return as_before;
    }
  }
  std::optional<std::string> target = request.release;
  if (!target) {
    auto requested = read_request(places.run_dir, config.app, rollback_request);
    if (!requested) return forward_error(requested);
    target = *requested;
  }
  const std::string left = state.has_candidate() ? state.candidate : scene->current;
  const bool nothing_asked = !target && request.reason.empty();
  if (nothing_asked && state.phase == Phase::idle && state.is(scene->current, Mark::good)) {
    auto unchanged = scene->moved_to(config.link, scene->current);
    if (unchanged) unchanged->to = unchanged->from;
    if (unchanged) unchanged->changed = false;
    return unchanged;
  }
  if (nothing_asked && scene->releases.is_irreversible(left))
    return fail(Outcome::no, fmt::format("{}/{}", config.releases, left),
                "is irreversible (it holds .irreversible): not rolled back without being told to");
  if (target) {
    const std::string shown = fmt::format("{}/{}", config.releases, *target);
    if (!scene->releases.contains(*target)) return fail(Outcome::no, shown, "no such release");
    if (const auto missing = scene->releases.lacks(*target))
      return fail(Outcome::no, shown, fmt::format("is incomplete: it lacks {}", *missing));
  } else {
    auto chosen = rollback_target(scene->releases, state, scene->previous, left);
    if (!chosen) return with_subject(chosen.error(), config.app);
    target = *chosen;
  }
  auto moved = scene->moved_to(config.link, *target);
  if (!moved || request.dry_run) return moved;

  std::string reason = request.reason.empty() ? state.failure : request.reason;
  if (reason.empty()) reason = state.has_candidate() ? "the deploy failed" : "rolled back by hand";
  if (request.durable)
    if (auto synced = scene->releases.sync(*target); !synced) return forward_error(synced);
  if (auto intended = scene->change.commit(step::roll_back(state, left, *target, reason, Moment::now()));
      !intended)
    return forward_error(intended);
  if (auto pointed = point_link(config.link, moved->to, request.durable); !pointed)
    return forward_error(pointed);
  drop_request(places.run_dir, config.app, rollback_request);
  return moved;
}

Result<Moved> reconcile(const Config& config, const Places& places, bool durable) {
  auto scene = Scene::look(config, places);
  if (!scene) return forward_error(scene);
  State& state = scene->change.state();
  Moved moved{config.link, scene->link_text,         scene->link_text, scene->current,
              false,       scene->change.set_aside()};
  if (state.phase == Phase::prepared) {
    const std::string candidate = state.candidate;
    if (auto settled = scene->settle_prepared(config, durable); !settled) return forward_error(settled);
    moved.to = scene->link_text;
    moved.release = scene->current;
    moved.changed = moved.to != moved.from;
    moved.note = fmt::format("the deploy of {} had not begun to swap: as before", candidate);
    return moved;
  }
  if (state.phase != Phase::swapped && state.phase != Phase::rolling_back) {
    if (moved.note.empty() && !scene->change.set_aside().empty()) moved.note = scene->change.set_aside();
    return moved;
  }

  const std::string reason = fmt::format("interrupted in phase {}", phase_name(state.phase));
  const bool back_to_target = state.phase == Phase::rolling_back && !scene->releases.lacks(state.target);
  const auto target = back_to_target
                          ? Result<std::string>(state.target)
                          : rollback_target(scene->releases, state, scene->previous, state.candidate);
  if (!target) {
    const std::string why = fmt::format("{}, and there is {}", reason, target.error().problem);
    if (auto noted = scene->change.commit(step::stuck(state, why, Moment::now())); !noted)
      return forward_error(noted);
    moved.note = why;
    return moved;
  }
  auto to = scene->releases.target_for(*target);
  if (!to) return forward_error(to);
  moved.note = fmt::format("the deploy of {} was {}: back to {}", state.candidate, reason, *target);
  if (auto pointed = point_link(config.link, *to, durable); !pointed) return forward_error(pointed);
  if (auto noted = scene->change.commit(step::interrupted(state, *target, reason, Moment::now())); !noted)
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
  auto requested = read_request(places.run_dir, config.app, deploy_request);
  if (requested && *requested) return **requested != *current;
  auto newest = newest_deployable(*releases, *state, *current);
  return !newest || *newest != *current;
}

Result<bool> is_rollback_due(const Places& places, const std::string& app) {
  auto state = Ledger::read(places.state_dir, app);
  if (!state) return forward_error(state);
  if (state->has_candidate() || state->phase == Phase::prepared) return true;
  auto requested = read_request(places.run_dir, app, rollback_request);
  if (!requested) return forward_error(requested);
  return requested->has_value();
}

} // namespace safe_deploy
