#include "checks/restarts_check.hpp"

#include "quantity.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

std::string times(std::uint32_t count) {
  return count == 1 ? "once" : fmt::format("{} times", count);
}

} // namespace

Answer RestartsCheck::judge(const UnitState& unit, Clock::time_point now) {
  const std::string remedy = fmt::format("'systemctl reset-failed {}' allows it again", unit.name);
  const std::string limit =
      fmt::format("{} starts in {}", unit.start_limit_burst, format_duration(unit.start_limit_interval));
  Answer answer{.verdict = Verdict::yes, .reason = "ok", .sentence = {}};
  answer.figures = {{"restarts", static_cast<double>(unit.restarts), ""}};
  if (unit.result == "start-limit-hit") {
    answer.verdict = Verdict::no;
    answer.reason = "start-limit";
    answer.sentence = fmt::format("{} has used up its {}; {}", unit.name, limit, remedy);
    return answer;
  }
  const bool limited = unit.start_limit_burst > 0 && unit.start_limit_interval > Duration::zero();
  const bool loops = unit.sub_state.starts_with("auto-restart"); // 254: also "auto-restart-queued"
  const bool recent =
      unit.inactive_exit != Clock::time_point{} && now - unit.inactive_exit < unit.start_limit_interval;
  const std::uint32_t used = recent ? unit.restarts + 1 : 0;
  if (limited && used >= unit.start_limit_burst) {
    answer.verdict = Verdict::no;
    answer.reason = "start-limit";
    answer.sentence =
        fmt::format("{} was restarted {} within its {}: systemd would refuse the next start; {}", unit.name,
                    times(unit.restarts), limit, remedy);
  } else if (loops) {
    answer.verdict = Verdict::warning;
    answer.reason = "restarts";
    answer.sentence =
        fmt::format("{} fails and is restarted again and again ({} so far)", unit.name, times(unit.restarts));
  } else if (!limited) {
    answer.sentence = fmt::format("{} has no limit on its starts", unit.name);
  } else {
    answer.sentence = fmt::format("{}: {} automatic restart{}, at most {} are allowed", unit.name,
                                  unit.restarts, unit.restarts == 1 ? "" : "s", limit);
  }
  return answer;
}

Answer RestartsCheck::ask(const Deadline& deadline) {
  const auto unit = units_->state(unit_, deadline);
  if (!unit) return {.verdict = Verdict::skipped, .reason = "systemd", .sentence = unit.error().text()};
  if (unit->load_state != "loaded")
    return {.verdict = Verdict::skipped,
            .reason = "not-loaded",
            .sentence = fmt::format("{}: systemd says {}", unit_, unit->load_state)};
  return judge(*unit, Clock::now());
}

Result<std::shared_ptr<Check>> make_restarts_check(const Values& values) {
  auto unit = values.text("restarts");
  if (!unit) return forward_error(unit);
  return std::make_shared<RestartsCheck>(service_name(*unit), values.units());
}

} // namespace safe_deploy
