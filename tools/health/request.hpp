#pragma once

#include "app.hpp"
#include "late_error.hpp"
#include "options.hpp"
#include "policy.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace safe_deploy::health {

// What health-wait is asked for, by its command line and the configuration.
struct Request {
  std::optional<App> app;
  std::vector<Asked> checks;
  std::shared_ptr<LateError> late_error = std::make_shared<LateError>();
  std::string unit;         // watched while waiting; empty: none
  std::optional<pid_t> pid; // as given or in $MAINPID; 0: none
  Duration timeout = std::chrono::seconds(60);
  Clock::time_point started = Clock::now();
  Deadline deadline = Deadline::never(); // of the whole run
  Duration interval = std::chrono::seconds(1);
  Duration attempt_timeout = std::chrono::seconds(5);
  Duration hold{};
  std::string when = "health"; // the moment whose checks are asked
  bool is_watch = false;       // what is healthy already is to stay so, from the beginning
  bool is_probation = false;   // and for as long as its probation goes on
  unsigned attempts = 0;
  unsigned rise = 1;
};

// Everything that can be wrong is found here, but for jq filters (see LateError).
Result<Request> read_request(const CommandLine& line, Reporter& report);

} // namespace safe_deploy::health
