#include "checks/unit_check.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

Answer no(std::string reason, std::string sentence) {
  return {.verdict = Verdict::no, .reason = std::move(reason), .sentence = std::move(sentence)};
}

std::string how_it_failed(const UnitState& unit) {
  const std::string ended = unit.how_main_ended();
  return ended.empty() || unit.result == "timeout"
             ? unit.result
             : fmt::format("{}: its main process {}", unit.result, ended);
}

} // namespace

Answer UnitCheck::ask(const Deadline& deadline) {
  const auto unit = units_->state(unit_, deadline);
  if (!unit) return {.verdict = Verdict::skipped, .reason = "systemd", .sentence = unit.error().text()};
  if (unit->load_state == "masked") return no("not-loaded", fmt::format("{} is masked", unit_));
  if (unit->load_state != "loaded")
    return no("not-loaded", fmt::format("{} cannot be started: systemd says {}", unit_, unit->load_state));
  if (unit->result == "start-limit-hit")
    return no("start-limit",
              fmt::format("{} was started too often ({}); 'systemctl reset-failed {}' allows it again", unit_,
                          unit->result, unit_));
  if (unit->active_state == "failed")
    return no("failed", fmt::format("{} has failed ({}); 'systemctl reset-failed {}' when its cause is gone",
                                    unit_, how_it_failed(*unit), unit_));
  if (active_ && unit->active_state != "active" && unit->active_state != "reloading")
    return no("inactive", fmt::format("{} is {} ({})", unit_, unit->active_state, unit->sub_state));
  if (unit->need_daemon_reload)
    return {.verdict = Verdict::warning,
            .reason = "reload",
            .sentence = fmt::format("{} has changed on disk; 'systemctl daemon-reload' makes systemd read it",
                                    unit_)};
  return {.verdict = Verdict::yes,
          .reason = "ok",
          .sentence = fmt::format("{} is {} ({})", unit_, unit->active_state, unit->sub_state)};
}

Result<std::shared_ptr<Check>> make_unit_check(const Values& values) {
  auto unit = values.text("unit");
  if (!unit) return forward_error(unit);
  return std::make_shared<UnitCheck>(service_name(*unit), true, values.units());
}

} // namespace safe_deploy
