#include "checks/health_now_check.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

Answer HealthNowCheck::ask(const Deadline& deadline) {
  if (checks_.empty())
    return Answer::skipped("none", "no check is asked for health, and [port] listen is not set");
  const auto unit = units_->state(unit_, deadline);
  if (!unit) return Answer::skipped("systemd", unit.error().text());
  if (unit->active_state != "active" && unit->active_state != "reloading")
    return Answer::skipped("inactive",
                           fmt::format("{} is {} ({})", unit_, unit->active_state, unit->sub_state));
  auto answers = ask_once(checks_, deadline);
  const auto find = [&](Verdict verdict) {
    return std::find_if(answers.begin(), answers.end(),
                        [&](const Asking& asking) { return asking.answer.verdict == verdict; });
  };
  for (const Verdict verdict : {Verdict::no, Verdict::warning, Verdict::skipped}) {
    const auto found = find(verdict);
    if (found == answers.end()) continue;
    found->answer.sentence = fmt::format("{}: {}", found->name, found->answer.sentence);
    return std::move(found->answer);
  }
  return Answer::yes(fmt::format("{} is healthy", unit_));
}

} // namespace safe_deploy
