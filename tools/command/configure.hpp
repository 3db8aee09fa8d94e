#pragma once

#include "bus.hpp"
#include "options.hpp"

#include <string>

// The configuration that `enable` writes where an app has none.
namespace safe_deploy::command {

// Whether one of the options is given that say what to write.
bool asks_for_configuration(const CommandLine& line);

// CONFIG_DIR/APP.conf.
std::string configuration_file(const CommandLine& line, const std::string& app);

// The unit that is to be configured: --unit, or APP.service.
Result<std::string> configured_unit(const CommandLine& line, const std::string& app);

// The text of the file, from the options, the unit as it runs now, and what is on disk. Outcome::no, with the
// option that tells it, for what cannot be found out.
Result<std::string> compose_configuration(const CommandLine& line, const std::string& app,
                                          const UnitState& unit, Reporter& report);

// Writes it; refused where there is a file by now.
Result<void> write_configuration(const std::string& file, const std::string& text);

} // namespace safe_deploy::command
