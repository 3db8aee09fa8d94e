#pragma once

#include "error.hpp"
#include "fd.hpp"
#include "health/probation.hpp"
#include "health/request.hpp"
#include "process.hpp"
#include "unit_watch.hpp"

#include <optional>

namespace safe_deploy::health {

// When systemd would kill this process.
struct StartLimit {
  Duration time = without_limit; // TimeoutStartSec= of the unit whose start this is a part of
  bool extendable = false;       // it can be asked for more
};

// What the wait watches beside the answers.
struct Watched {
  std::optional<UnitWatch> unit = {};
  std::optional<Process> process = {};
  std::optional<Probation> probation = {};
  StartLimit start_limit = {};
  Fd events = {}; // readable when any of them has something to say
};

// A no that is known before anything is asked (the unit has failed, the process is gone) is Outcome::no.
Result<Watched> watch(const Request& request, Reporter& report);

// `why` something ended, with what it logged last: "...; it last logged: '...', '...'". The messages are
// those of the process where it is not 0, or else of all of the unit's invocation. `unit` as it was; nullptr:
// the one whose start this is a part of.
std::string with_last_words(std::string why, const UnitState* unit, pid_t pid);

// How the main process of a unit ended, as systemd tells it: "exited with status 3". Empty where it does not.
std::string how_unit_ended(const std::string& unit);

} // namespace safe_deploy::health
