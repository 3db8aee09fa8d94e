#pragma once

#include "error.hpp"
#include "fd.hpp"
#include "health/request.hpp"
#include "process.hpp"
#include "unit_watch.hpp"

#include <optional>

namespace safe_deploy::health {

// What the wait watches beside the answers.
struct Watched {
  std::optional<UnitWatch> unit = {};
  std::optional<Process> process = {};
  Duration start_limit = without_limit; // until systemd would kill this process
  Fd events = {};                       // readable when any of them has something to say
};

// A no that is known before anything is asked (the unit has failed, the process is gone) is Outcome::no.
Result<Watched> watch(const Request& request, Reporter& report);

// How the main process of a unit ended, as systemd tells it: "exited with status 3". Empty where it does not.
std::string how_unit_ended(const std::string& unit);

} // namespace safe_deploy::health
