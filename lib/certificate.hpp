#pragma once

#include <chrono>
#include <string>

namespace safe_deploy {

// What a certificate says of itself.
struct Certificate {
  std::string subject; // its common name, or else its first other name; anybody may have written it
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after; // the last second in which it is valid
};

} // namespace safe_deploy
