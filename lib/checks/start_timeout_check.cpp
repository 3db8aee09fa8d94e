#include "checks/start_timeout_check.hpp"

#include "quantity.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

std::string shown(Duration timeout) {
  return timeout == without_limit ? "without limit" : format_duration(timeout);
}

} // namespace

Answer StartTimeoutCheck::judge(const UnitState& unit) const {
  const bool waits_for_port = unit.exec_start_pre.find("port-wait") != std::string::npos;
  const bool waits_for_health = unit.exec_start_post.find("health-wait") != std::string::npos;
  if (!waits_for_port && !waits_for_health)
    return Answer::skipped(
        "no-gate", fmt::format("neither port-wait nor health-wait is a part of a start of {}", unit_));
  const std::string limit = fmt::format("TimeoutStartSec={} of {}", shown(unit.timeout_start), unit_);
  if (waits_for_health && health_timeout_ > unit.timeout_start)
    return Answer::no("health-timeout",
                      fmt::format("[health] timeout ({}) is more than {}: health-wait ends just before that",
                                  shown(health_timeout_), limit));
  if (waits_for_port && free_timeout_ > unit.timeout_start)
    return Answer::no(
        "free-timeout",
        fmt::format("[port] free-timeout ({}) is more than {}: systemd ends port-wait before it can tell why",
                    shown(free_timeout_), limit));
  return Answer::yes(unit.timeout_start == without_limit
                         ? fmt::format("{} may take any time to start", unit_)
                         : fmt::format("[health] timeout ({}) fits into {}", shown(health_timeout_), limit));
}

Answer StartTimeoutCheck::ask(const Deadline& deadline) {
  const auto unit = units_->state(unit_, deadline);
  if (!unit) return Answer::skipped("systemd", unit.error().text());
  if (unit->load_state != "loaded")
    return Answer::skipped("not-loaded", fmt::format("{}: systemd says {}", unit_, unit->load_state));
  return judge(*unit);
}

} // namespace safe_deploy
