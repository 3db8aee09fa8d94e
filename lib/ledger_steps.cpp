#include "ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace safe_deploy {

namespace {

constexpr std::array<std::pair<Phase, std::string_view>, 6> phase_names{
    {{Phase::idle, "idle"},
     {Phase::prepared, "prepared"},
     {Phase::swapped, "swapped"},
     {Phase::probation, "probation"},
     {Phase::rolling_back, "rolling-back"},
     {Phase::stuck, "stuck"}}};

tl::unexpected<Error> not_now(const State& state, std::string_view what) {
  std::string phase(phase_name(state.phase));
  if (!state.candidate.empty()) phase += fmt::format(", release {}", state.candidate);
  return fail(Outcome::no, "", fmt::format("{} is not possible in phase {}", what, phase));
}

void enter(State& state, Phase phase, const Moment& now) {
  state.phase = phase;
  state.since = now;
}

void judge(State& state, Transition& transition, const std::string& release, Mark mark,
           const std::string& reason, const Moment& now) {
  state.releases[release] = {mark, now.at, reason};
  transition.verdicts[release] = mark;
  if (mark == Mark::good) state.lost.clear();
}

// What is rolled back to has to prove itself as well.
bool is_target(const State& state, const std::string& release) {
  return state.phase == Phase::rolling_back && release == state.target;
}

// Back to rest: nothing of the deploy that is over is left but its outcome.
void come_to_rest(State& state, std::string_view outcome, const std::string& reason, const Moment& now) {
  enter(state, Phase::idle, now);
  state.candidate.clear();
  state.from.clear();
  state.from_link.clear();
  state.target.clear();
  state.failure.clear();
  state.condemned.clear();
  state.stuck.clear();
  state.last.outcome = outcome;
  state.last.reason = reason;
  state.last.ended = now.at;
}

} // namespace

std::string_view phase_name(Phase phase) {
  for (const auto& [value, name] : phase_names)
    if (value == phase) return name;
  return "unknown";
}

std::optional<Phase> parse_phase(std::string_view text) {
  for (const auto& [phase, name] : phase_names)
    if (name == text) return phase;
  return std::nullopt;
}

std::string_view mark_name(Mark mark) {
  return mark == Mark::good ? "good" : "bad";
}

std::optional<Mark> State::verdict(const std::string& release) const {
  const auto found = releases.find(release);
  if (found == releases.end()) return std::nullopt;
  return found->second.verdict;
}

namespace step {

Result<Transition> intend(State& state, const std::string& release, const std::string& from,
                          const std::string& from_link, const Moment& now) {
  if (state.phase != Phase::idle && state.phase != Phase::stuck) return not_now(state, "a swap");
  enter(state, Phase::prepared, now);
  state.candidate = release;
  state.from = from;
  state.from_link = from_link;
  state.current = from;
  state.target.clear();
  state.failure.clear();
  state.condemned.clear();
  state.last = {.number = state.last.number + 1,
                .release = release,
                .from = from,
                .started = now.at,
                .ended = "",
                .outcome = "",
                .reason = ""};
  return Transition{"swap-intended", release, from, ""};
}

Result<Transition> swapped(State& state, const Moment& now) {
  if (state.phase != Phase::prepared) return not_now(state, "'swapped'");
  enter(state, Phase::swapped, now);
  state.current = state.candidate;
  state.stuck.clear();
  return Transition{"swapped", state.candidate, state.from, ""};
}

Result<Transition> abandon(State& state, const std::string& reason, const Moment& now) {
  if (state.phase != Phase::prepared) return not_now(state, "abandoning a swap");
  Transition transition{"abandoned", state.candidate, state.from, reason};
  state.current = state.from;
  const std::string stuck = state.stuck;
  come_to_rest(state, "abandoned", reason, now);
  if (!stuck.empty()) {
    enter(state, Phase::stuck, now);
    state.stuck = stuck;
  }
  return transition;
}

Result<Transition> passed(State& state, bool probation, const Moment& now) {
  const bool rolls_back = state.phase == Phase::rolling_back && !state.target.empty();
  if (!rolls_back && state.phase != Phase::swapped) return not_now(state, "'passed'");
  if (!state.condemned.empty())
    return fail(Outcome::no, rolls_back ? state.target : state.candidate,
                fmt::format("is marked bad: {}", state.condemned));
  if (rolls_back) {
    Transition transition{"rolled-back", state.target, state.candidate, state.failure};
    state.current = state.target;
    // It answered healthily: also a release without a verdict that somebody named is good now.
    if (!state.is(state.target, Mark::good)) judge(state, transition, state.target, Mark::good, "", now);
    come_to_rest(state, "rolled-back", transition.reason, now);
    return transition;
  }
  if (!probation) return mark(state, state.candidate, Mark::good, "", now);
  enter(state, Phase::probation, now);
  return Transition{"passed", state.candidate, state.from, ""};
}

Result<Transition> held(State& state, const Moment& now) {
  if (state.phase != Phase::probation) return not_now(state, "'held'");
  if (!state.condemned.empty())
    return fail(Outcome::no, state.candidate, fmt::format("is marked bad: {}", state.condemned));
  return mark(state, state.candidate, Mark::good, "", now);
}

Result<Transition> probation_again(State& state, const Moment& now) {
  if (state.phase != Phase::probation) return not_now(state, "another probation");
  enter(state, Phase::probation, now);
  return Transition{"probation-again", state.candidate, state.from, ""};
}

Result<Transition> mark(State& state, const std::string& release, Mark mark, const std::string& reason,
                        const Moment& now) {
  const bool on_trial = state.phase == Phase::swapped || state.phase == Phase::probation;
  Transition transition{std::string(mark_name(mark)), release, "", reason};
  judge(state, transition, release, mark, reason, now);
  if (mark == Mark::bad && ((on_trial && release == state.candidate) || is_target(state, release)))
    state.condemned = reason.empty() ? "by hand" : reason;
  if (mark == Mark::good && is_target(state, release)) state.condemned.clear();
  if (mark == Mark::good && on_trial && release == state.candidate) {
    transition.from = state.from;
    come_to_rest(state, "good", "", now);
  }
  if (mark == Mark::good && state.phase == Phase::idle && state.current.empty()) state.current = release;
  return transition;
}

Result<Transition> clear(State& state, const std::string& release, const Moment& /*now*/) {
  if (state.releases.erase(release) == 0) return fail(Outcome::no, release, "has no verdict to clear");
  if (release == state.candidate || is_target(state, release)) state.condemned.clear();
  Transition transition{"clear", release, "", ""};
  transition.verdicts[release] = std::nullopt;
  return transition;
}

Result<Transition> note_failure(State& state, const std::string& reason, const Moment& /*now*/) {
  if (!state.has_candidate()) return not_now(state, "noting a failure");
  const bool of_target = state.phase == Phase::rolling_back;
  std::string& noted = of_target ? state.stuck : state.failure;
  if (noted.empty()) noted = reason;
  return Transition{"failure", of_target ? state.target : state.candidate, "", reason};
}

Result<Transition> roll_back(State& state, const std::string& left, const std::string& target,
                             const std::string& reason, const Moment& now) {
  const bool by_hand = !state.has_candidate() && state.phase != Phase::prepared;
  if (by_hand)
    state.last = {.number = state.last.number + 1,
                  .release = target,
                  .from = left,
                  .started = now.at,
                  .ended = "",
                  .outcome = "",
                  .reason = ""};
  enter(state, Phase::rolling_back, now);
  state.candidate = left;
  state.target = target;
  state.failure = reason;
  state.condemned.clear();
  state.stuck.clear();
  state.last.outcome.clear();
  Transition transition{"rollback-intended", target, left, reason};
  if (!left.empty() && left != target) judge(state, transition, left, Mark::bad, reason, now);
  return transition;
}

Result<Transition> interrupted(State& state, const std::string& current, const std::string& reason,
                               const Moment& now) {
  if (state.phase == Phase::idle) return not_now(state, "'interrupted'");
  Transition transition{"interrupted", current, state.candidate, reason};
  // What had failed before it was interrupted.
  const bool on_trial = state.phase == Phase::swapped || state.phase == Phase::probation;
  if (on_trial && !state.failure.empty() && state.candidate != current)
    judge(state, transition, state.candidate, Mark::bad, state.failure, now);
  state.current = current;
  come_to_rest(state, "interrupted", reason, now);
  return transition;
}

Result<Transition> stuck(State& state, const std::string& reason, const Moment& now, Blame blame) {
  if (state.phase == Phase::idle && blame == Blame::candidate) return not_now(state, "'stuck'");
  // There was nowhere to go back to: the candidate stays, but it has failed all the same.
  const bool on_trial = state.phase == Phase::swapped || state.phase == Phase::probation;
  Transition transition{"stuck", state.candidate, state.from, ""};
  if (on_trial && blame == Blame::candidate)
    judge(state, transition, state.candidate, Mark::bad, state.failure.empty() ? reason : state.failure, now);
  enter(state, Phase::stuck, now);
  if (!reason.empty()) state.stuck = reason;
  if (state.stuck.empty()) state.stuck = state.failure;
  // What tells a swap that is abandoned that it began here.
  if (state.stuck.empty()) state.stuck = "no reason was given";
  state.last.outcome = "stuck";
  state.last.reason = state.stuck;
  state.last.ended = now.at;
  transition.reason = state.stuck;
  return transition;
}

Result<Transition> taken_back(State& state, const State& before, const std::string& reason) {
  Transition transition{"taken-back", state.candidate, "", reason};
  const std::uint64_t number = state.last.number;
  for (const auto& [release, record] : state.releases)
    if (before.verdict(release) != record.verdict) transition.verdicts[release] = before.verdict(release);
  state = before;
  state.last.number = number;
  return transition;
}

Result<Transition> pruned(State& state, const std::vector<std::string>& releases,
                          const std::vector<std::string>& gone) {
  Transition transition{"pruned", "", "", ""};
  transition.releases = releases;
  std::vector<std::pair<std::string, std::string>> bad; // since when, and which
  for (const auto& release : gone)
    if (state.is(release, Mark::bad)) bad.emplace_back(state.releases.at(release).at, release);
  std::sort(bad.rbegin(), bad.rend());
  for (std::size_t i = most_gone_remembered; i < bad.size(); ++i) {
    state.releases.erase(bad[i].second);
    transition.verdicts[bad[i].second] = std::nullopt;
  }
  for (const auto& release : releases)
    if (state.is(release, Mark::good)) {
      state.releases.erase(release);
      transition.verdicts[release] = std::nullopt;
    }
  return transition;
}

} // namespace step

} // namespace safe_deploy
