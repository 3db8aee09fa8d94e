#pragma once

#include "incident.hpp"
#include "ledger.hpp"
#include "report.hpp"
#include "swap.hpp"

#include <string>
#include <vector>

namespace safe_deploy {

// Opens an incident and tells of it. What keeps it from being written is told as a warning, and changes
// nothing else: no deploy ends otherwise for that. False then.
bool report_incident(const Places& places, Incident incident, Reporter& report);

// What the app logged last in the deploy that the record tells of, until `to` (as Moment::at has it; empty:
// until now), for an incident. Nothing where it cannot be read.
std::vector<std::string> last_lines(const std::string& unit, const LastDeploy& deploy,
                                    const std::string& to = "");

} // namespace safe_deploy
