#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "units.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// Whether systemd knows a unit and it has not failed. Reasons: "not-loaded", "failed", "start-limit",
// "inactive"; a warning, "reload", where the unit file has changed since systemd read it.
class UnitCheck final : public Check {
 public:
  // `active`: it must be running, too.
  UnitCheck(std::string unit, bool active, std::shared_ptr<Units> units)
      : unit_(std::move(unit)), active_(active), units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

 private:
  std::string unit_;
  bool active_;
  std::shared_ptr<Units> units_;
};

// unit = NAME: it must be active.
inline constexpr KindKey unit_keys[] = {{"unit", judge::unit}};
inline constexpr Explanation unit_explained{
    "What the app depends on must run: a deploy onto a database that is down fails for a reason that is not "
    "its own.",
    "See 'systemctl status UNIT'; 'systemctl reset-failed UNIT' and a start when the cause is gone."};
Result<std::shared_ptr<Check>> make_unit_check(const Values& values);

} // namespace safe_deploy
