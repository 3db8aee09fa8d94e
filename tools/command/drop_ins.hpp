#pragma once

#include "config.hpp"
#include "plan.hpp"

#include <string>

// The drop-ins in /etc/systemd/system by which an app is under guard.
namespace safe_deploy::command {

// That files can be made there at all: os_error, EROFS among them. Asked before anything is changed.
Result<void> needs_writable_units();

// The unit that `enable` has guarded, which need not be the one that the configuration names by now.
Result<std::string> guarded_unit(const Config& config);

// Whether limits.conf is linked to the unit.
bool has_limits(const std::string& unit);
// Whether the guard is linked to it.
bool is_guarded(const std::string& unit);

// Links guard.conf, and limits.conf, to the app's unit, and tells the units of safe-deploy its name where it
// is not APP.service.
void plan_drop_ins(Plan& plan, const Config& config, bool limits);

// Takes away what is there of that. A limits.conf that somebody has copied is theirs and stays.
void plan_removal(Plan& plan, const std::string& app, const std::string& unit);

} // namespace safe_deploy::command
