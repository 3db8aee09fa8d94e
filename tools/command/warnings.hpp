#pragma once

#include "bus.hpp"
#include "config.hpp"
#include "options.hpp"

// What is told of a unit that can be guarded and deployed to, but had better be changed.
namespace safe_deploy::command {

// A unit whose command does not go through the link runs the same release whatever is deployed.
void warn_about_link(const UnitState& unit, const Config& config, Reporter& report);

// All of it, for `enable`. `limits`: limits.conf is about to be linked.
void warn_about_unit(const UnitState& unit, const Config& config, bool limits, Reporter& report);

} // namespace safe_deploy::command
