#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "units.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// Whether systemd would let the unit start once more: StartLimitBurst= starts in StartLimitIntervalSec=
// (systemd.unit(5)). systemd tells the limit and whether it is hit, but not how many starts it has counted;
// what is known of them is NRestarts and when the last start began, so it is a lower bound. Reasons:
// "start-limit"; a warning, "restarts", when the unit is in a loop of automatic restarts.
class RestartsCheck final : public Check {
 public:
  RestartsCheck(std::string unit, std::shared_ptr<Units> units)
      : unit_(std::move(unit)), units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

  // The answer for what systemd says at `now`.
  static Answer judge(const UnitState& unit, Clock::time_point now);

 private:
  std::string unit_;
  std::shared_ptr<Units> units_;
};

// restarts = NAME.
inline constexpr KindKey restarts_keys[] = {{"restarts", judge::unit}};
inline constexpr Explanation restarts_explained{
    "systemd refuses to start a unit that was started StartLimitBurst= times in StartLimitIntervalSec=: a "
    "deploy would stop the app and not be able to start it again, and a rollback neither.",
    "Find out why it restarts ('journalctl -u UNIT'), then 'systemctl reset-failed UNIT'."};
Result<std::shared_ptr<Check>> make_restarts_check(const Values& values);

} // namespace safe_deploy
