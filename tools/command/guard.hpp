#pragma once

#include "app.hpp"
#include "bus.hpp"
#include "options.hpp"
#include "plan.hpp"

#include <string>

// An app under guard: what is made for it, and taken back.
namespace safe_deploy::command {

// Everything that is lacking, in order: the release that runs is recorded before the guard is there. The plan
// refers to what it is given here.
Result<void> plan_guard(Plan& plan, Bus& bus, const App& app, const UnitState& unit, const CommandLine& line,
                        Reporter& report);

// The contrary: of the app, and of the unit that is guarded for it. The record stays.
Result<void> plan_end_of_guard(Plan& plan, Bus& bus, const std::string& app, const std::string& guarded,
                               const CommandLine& line);

} // namespace safe_deploy::command
