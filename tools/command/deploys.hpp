#pragma once

#include "app.hpp"
#include "history.hpp"
#include "json.hpp"

#include <optional>
#include <string>

// Deploys as the history has them, in words and for programs.
namespace safe_deploy::command {

// The app; where its configuration is gone or broken, but there is a record of it, by its name alone.
Result<App> app_with_record(const CommandLine& line, const std::string& name, Reporter& report);

// "ann", "root (bob)" for what bob did by sudo, with the CI job behind it; "-" where it is not known.
std::string asked_by(const Asker& by);

// "good", "rolled-back", "rollback" for one that a person asked for and that went well; ", forced".
std::string outcome_text(const Deploy& deploy);

// Whether it has not come to its end yet.
bool is_open(const Deploy& deploy);

// How long it took, of one that is open until now; "-" where that is not known.
std::string took_text(const Deploy& deploy);

// From its first step until now.
std::optional<double> seconds_until_now(const Deploy& deploy);

// Seconds as format_duration() has them.
std::string seconds_text(double seconds);

Json to_json(const Deploy& deploy);

} // namespace safe_deploy::command
