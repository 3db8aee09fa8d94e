#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "read_apart.hpp"
#include "units.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// Whether names are set for a unit, and not empty: by Environment= and EnvironmentFile=, or for all services,
// without what UnsetEnvironment= takes back; or given as a credential (LoadCredential=, SetCredential= and
// their encrypted forms), whose content is not looked at. Values are secrets: nothing tells them. Reasons:
// "not-set", "empty", "file" and "credential" (one that the unit cannot be started without, or would be
// refused), "not-loaded", "timeout"; skipped: "systemd", "unreadable", and "unknown" for what
// PassEnvironment= and ImportCredential= may give.
class EnvironmentCheck final : public Check {
 public:
  EnvironmentCheck(std::string unit, std::vector<std::string> names, std::shared_ptr<Units> units)
      : unit_(std::move(unit)), names_(std::move(names)), units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

  // What systemd gives to all services.
  using ForAll = std::function<Result<std::vector<std::string>>()>;
  // The answer for what systemd says; reads the unit's files.
  static Answer judge(const UnitState& unit, const std::vector<std::string>& names, const ForAll& for_all,
                      FileApart& files, const Deadline& deadline);

 private:
  std::string unit_;
  std::vector<std::string> names_;
  std::shared_ptr<Units> units_;
  FileApart files_ = {};
};

// environment = NAME, NAME...: of the app's unit.
inline constexpr KindKey environment_keys[] = {{"environment", judge::environment_names}};
inline constexpr Explanation environment_explained{
    "A release that needs a setting which nobody has made starts and fails, or runs with a default that was "
    "never meant for this machine.",
    "See 'systemctl show -p Environment,EnvironmentFiles,LoadCredential UNIT'. Set it there, then 'systemctl "
    "daemon-reload' where a unit file was changed."};
Result<std::shared_ptr<Check>> make_environment_check(const Values& values);

} // namespace safe_deploy
