#include "checks/health_now_check.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

Answer skipped(std::string reason, std::string sentence) {
  return {.verdict = Verdict::skipped, .reason = std::move(reason), .sentence = std::move(sentence)};
}

} // namespace

Answer HealthNowCheck::ask(const Deadline& deadline) {
  if (checks_.empty()) return skipped("none", "no check is asked for health, and [port] listen is not set");
  const auto unit = units_->state(unit_);
  if (!unit) return skipped("systemd", unit.error().text());
  if (unit->active_state != "active" && unit->active_state != "reloading")
    return skipped("inactive", fmt::format("{} is {} ({})", unit_, unit->active_state, unit->sub_state));
  for (Asking& asking : ask_once(checks_, deadline)) {
    if (asking.answer.verdict == Verdict::yes) continue;
    asking.answer.sentence = fmt::format("{}: {}", asking.name, asking.answer.sentence);
    return std::move(asking.answer);
  }
  return {.verdict = Verdict::yes, .reason = "ok", .sentence = fmt::format("{} is healthy", unit_)};
}

} // namespace safe_deploy
