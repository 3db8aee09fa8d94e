#pragma once

#include "check.hpp"
#include "config.hpp"
#include "units.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// Whether what a start of the unit waits for (guard.conf) may take as long as the configuration says: systemd
// gives each command of a start the whole of TimeoutStartSec=, and ends it then. Reasons: "health-timeout",
// "free-timeout"; skipped: "systemd", "not-loaded", "no-gate" (neither wait is a part of a start).
class StartTimeoutCheck final : public Check {
 public:
  StartTimeoutCheck(const Config& config, std::shared_ptr<Units> units)
      : unit_(config.unit),
        health_timeout_(config.health_timeout),
        free_timeout_(config.listen.empty() ? Duration::zero() : config.free_timeout),
        units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

  [[nodiscard]] Answer judge(const UnitState& unit) const;

 private:
  std::string unit_;
  Duration health_timeout_;
  Duration free_timeout_; // zero: no port is waited for
  std::shared_ptr<Units> units_;
};

} // namespace safe_deploy
