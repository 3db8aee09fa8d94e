#pragma once

#include "config.hpp"
#include "unit_links.hpp"

#include <string>

namespace safe_deploy {

// What is known of an app when its configuration is written for it.
struct AppFacts {
  std::string app;
  std::string unit;
  Layout layout;
  std::string listen;                     // as [port] takes it
  std::string url;                        // of its health endpoint; empty: nothing is asked but listening
  Duration timeout_start = without_limit; // TimeoutStartSec= of the unit
};

// A whole APP.conf with comments: what is known is set, everything else is there as a comment with its
// default. Outcome::no where a value cannot be written in the file's format, so that it would be read as
// something else.
Result<std::string> first_config(const AppFacts& facts);

} // namespace safe_deploy
