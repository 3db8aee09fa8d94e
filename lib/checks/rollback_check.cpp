#include "checks/rollback_check.hpp"

#include <fmt/format.h>

namespace safe_deploy {

Answer RollbackCheck::ask(const Deadline&) {
  const auto skipped = [](const Error& error) { return Answer::skipped("releases", error.text()); };
  const auto releases = Releases::open(config_);
  if (!releases) return skipped(releases.error());
  const auto current = releases->named_by(config_.link);
  if (!current) return skipped(current.error());
  const auto state = Ledger::read(places_.state_dir, config_.app);
  if (!state)
    return Answer::no("record", fmt::format("no release is known to be good: the record cannot be read: {}",
                                            state.error().text()));
  const auto to_deploy = release_to_deploy(*releases, *state, config_, places_, {});
  if (!to_deploy) return skipped(to_deploy.error());
  const std::string* next = &to_deploy->release;
  if (*next == *current && state->phase == Phase::idle && !to_deploy->force)
    return Answer::skipped("nothing-new", fmt::format("{} is current already: nothing is deployed", *next));
  const auto one_way = releases->is_irreversible(*next);
  if (!one_way) return skipped(one_way.error());
  if (*one_way)
    return Answer::no(
        "irreversible",
        fmt::format("{} is irreversible (it holds .irreversible): should it fail, nothing is rolled "
                    "back by itself",
                    *next));
  // What `previous` will name during the deploy (swap.cpp).
  const std::string previous =
      state->is(*current, Mark::good) ? *current : releases->named_by(previous_link(config_)).value_or("");
  const auto target = rollback_target(*releases, *state, previous, *next);
  if (!target)
    return Answer::no("none",
                      fmt::format("nothing to go back to, should {} fail: {}", *next, target.error().text()));
  return Answer::yes(fmt::format("should {} fail, {} is gone back to", *next, *target));
}

} // namespace safe_deploy
