#pragma once

#include "bus.hpp"
#include "error.hpp"

#include <mutex>
#include <optional>
#include <string>

namespace safe_deploy {

// What systemd says of units, for several threads: one connection, opened when it is first needed.
class Units {
 public:
  Result<UnitState> state(const std::string& unit);

 private:
  std::mutex mutex_;
  std::optional<Bus> bus_;
};

} // namespace safe_deploy
