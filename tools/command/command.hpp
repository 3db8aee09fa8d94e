#pragma once

#include "app.hpp"
#include "bus.hpp"
#include "ledger.hpp"
#include "options.hpp"
#include "unit_names.hpp"

#include <string>

// The commands of safe-deploy: each takes the command line without its own name.
namespace safe_deploy::command {

// Starts safe-deploy@APP.service and follows it to its end, rollback included. Exit codes: 0 good, on
// probation or already current, 1 refused, 3 rolled back, 4 stuck; busy is an error.
Result<int> deploy(const CommandLine& line, Reporter& report);
// The same for safe-deploy-rollback@APP.service; 0: rolled back.
Result<int> rollback(const CommandLine& line, Reporter& report);
Result<int> status(const CommandLine& line, Reporter& report);
Result<int> history(const CommandLine& line, Reporter& report);
// Writes the time line of a deploy as an SVG to stdout.
Result<int> plot(const CommandLine& line, Reporter& report);
// preflight, as the unit of a deploy runs it; its exit code.
Result<int> check(const CommandLine& line, Reporter& report);
Result<int> enable(const CommandLine& line, Reporter& report);
Result<int> disable(const CommandLine& line, Reporter& report);
// What went wrong: the incidents of one app or all, one of them whole, or closes one.
Result<int> incidents(const CommandLine& line, Reporter& report);
// For safe-deploy-monitor@.service: asks the checks of the monitor, tells of what has changed, and opens and
// closes incidents.
Result<int> monitor(const CommandLine& line, Reporter& report);
// For safe-deploy-failed@.service: starts the rollback if a candidate is live.
Result<int> failed(const CommandLine& line, Reporter& report);
// For safe-deploy-reconcile@.service, and by hand.
Result<int> reconcile(const CommandLine& line, Reporter& report);

// The one APP argument, and at most `most` arguments in all.
Result<std::string> app_argument(const CommandLine& line, std::size_t most);

// That the three directories are those that the units know: usage otherwise.
Result<void> needs_usual_directories(const CommandLine& line);

} // namespace safe_deploy::command
