#pragma once

#include "deadline.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <string_view>

namespace safe_deploy::health {

// Tells systemd how far the waiting is (sd_notify(3)). It listens to the commands of a start only where
// NotifyAccess= is exec or all: $NOTIFY_SOCKET is set for them then, and otherwise nothing is told.
class Notice {
 public:
  [[nodiscard]] static bool is_wanted() { return std::getenv("NOTIFY_SOCKET") != nullptr; }

  // What `systemctl status` shows.
  static void status(std::string_view text) {
    if (is_wanted()) (void)sd_notify(0, fmt::format("STATUS=health-wait: {}", text).c_str());
  }

  // The start may go on for so long from now. It is to be told again before that is over.
  static void extend(Duration time) {
    (void)sd_notify(0, fmt::format("EXTEND_TIMEOUT_USEC={}", time.count()).c_str());
  }
};

} // namespace safe_deploy::health
