#pragma once

#include "command.hpp"
#include "config.hpp"
#include "error.hpp"
#include "view.hpp"

#include <functional>
#include <string>

namespace safe_deploy::command {

struct ToFollow {
  std::string unit; // to be started
  // Asked when it has ended well: whether the release is on probation, and that is to be waited for.
  std::function<bool()> waits_for_probation = {};
  // Called when it is known that nothing else is at work, before the unit is started.
  std::function<Result<void>()> before_start = {};
  // Called when systemd has refused to start it.
  std::function<void()> on_refused = {};
};

struct Followed {
  std::string result; // of the unit's job: "done", "failed", "canceled" ...
  std::string error;  // what one of the units' tools said last that is an error, if that can be read
  int signal = 0;     // that ended the watching, before there was a result; the units go on
};

// Starts a unit and follows the units of the app's deploy until none of them is at work any more: by what
// systemd tells on the bus, and by what is logged. Errors: busy (one of them is at work already), no (a unit
// is masked), os_error (EACCES: without the right to start it).
Result<Followed> start_and_follow(const Config& config, const ToFollow& what, View& view, Reporter& report);

} // namespace safe_deploy::command
