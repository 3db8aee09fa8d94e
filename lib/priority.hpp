#pragma once

#include "error.hpp"

#include <string_view>

namespace safe_deploy {

// The priorities of messages by their names in journalctl(1): "emerg" is 0 ... "debug" is 7 (syslog(3)).
// Outcome::usage otherwise.
Result<int> parse_priority(std::string_view name);
std::string_view priority_name(int priority);

} // namespace safe_deploy
