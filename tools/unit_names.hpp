#pragma once

#include <fmt/format.h>

#include <string>

// The units of an app.
namespace safe_deploy {

inline std::string deploy_unit(const std::string& app) {
  return fmt::format("safe-deploy@{}.service", app);
}
inline std::string rollback_unit(const std::string& app) {
  return fmt::format("safe-deploy-rollback@{}.service", app);
}
inline std::string stuck_unit(const std::string& app) {
  return fmt::format("safe-deploy-stuck@{}.service", app);
}
inline std::string reconcile_unit(const std::string& app) {
  return fmt::format("safe-deploy-reconcile@{}.service", app);
}
// Watches what is on probation.
inline std::string watch_unit(const std::string& app) {
  return fmt::format("safe-deploy-watch@{}.service", app);
}
inline std::string monitor_timer(const std::string& app) {
  return fmt::format("safe-deploy-monitor@{}.timer", app);
}

} // namespace safe_deploy
