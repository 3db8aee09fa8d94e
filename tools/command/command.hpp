#pragma once

#include "app.hpp"
#include "ledger.hpp"
#include "options.hpp"

#include <string>

// The commands of safe-deploy: each takes the command line without its own name.
namespace safe_deploy::command {

// Starts safe-deploy@APP.service and follows it to its end, rollback included. Exit codes: 0 good or already
// current, 1 refused, 3 rolled back, 4 stuck; busy is an error.
Result<int> deploy(const CommandLine& line, Reporter& report);
// The same for safe-deploy-rollback@APP.service; 0: rolled back.
Result<int> rollback(const CommandLine& line, Reporter& report);
Result<int> status(const CommandLine& line, Reporter& report);
Result<int> enable(const CommandLine& line, Reporter& report);
Result<int> disable(const CommandLine& line, Reporter& report);
// For safe-deploy-failed@.service: starts the rollback if a candidate is live.
Result<int> failed(const CommandLine& line, Reporter& report);
// For safe-deploy-reconcile@.service, and by hand.
Result<int> reconcile(const CommandLine& line, Reporter& report);

// The one APP argument, and at most `most` arguments in all.
Result<std::string> app_argument(const CommandLine& line, std::size_t most);

std::string deploy_unit(const std::string& app);
std::string rollback_unit(const std::string& app);
std::string stuck_unit(const std::string& app);

} // namespace safe_deploy::command
