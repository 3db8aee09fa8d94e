#include "health/probation.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>

namespace safe_deploy::health {

std::optional<Probation> Probation::open(const App& app) {
  const std::string& state_dir = app.places.state_dir;
  Fd changes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string directory = fmt::format("{}/{}", state_dir, app.config.app);
  // Before the first look: nothing is missed. The record is only ever replaced.
  const bool watched =
      changes && inotify_add_watch(changes.get(), directory.c_str(), IN_MOVED_TO | IN_ONLYDIR) >= 0;
  const auto state = Ledger::read(state_dir, app.config.app);
  if (!watched || !state) return std::nullopt;
  Probation probation(std::move(changes), state_dir, app.config.app);
  if (state->phase == Phase::probation) probation.candidate_ = state->candidate;
  return probation;
}

std::optional<std::string> Probation::look() {
  std::array<char, 4096> events{};
  while (read(changes_.get(), events.data(), events.size()) > 0) continue;
  const auto state = Ledger::read(state_dir_, app_);
  if (!state) return std::nullopt;
  const bool goes_on = state->phase == Phase::probation && state->candidate == candidate_;
  if (goes_on && state->condemned.empty()) return std::nullopt;
  const bool is_good =
      state->phase == Phase::idle && state->is(candidate_.empty() ? state->current : candidate_, Mark::good);
  end_ = goes_on ? End::bad : is_good ? End::good : End::elsewhere;
  if (goes_on) return fmt::format("{} was marked bad: {}", candidate_, printable(state->condemned));
  if (candidate_.empty()) return fmt::format("nothing is on probation (phase {})", phase_name(state->phase));
  if (is_good) return fmt::format("{} was called good: its probation is over", candidate_);
  return fmt::format("{} is no longer on probation (phase {})", candidate_, phase_name(state->phase));
}

} // namespace safe_deploy::health
