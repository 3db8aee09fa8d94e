#pragma once

#include "bus.hpp"
#include "error.hpp"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace safe_deploy {

// What systemd says of units, for several threads: one connection, opened when it is first needed.
class Units {
 public:
  // Checks that are asked side by side share an answer: it may be one that was asked for up to `recently`
  // before. Errors: os_error, ETIMEDOUT among them at the deadline.
  Result<UnitState> state(const std::string& unit, const Deadline& deadline = Deadline::never());

  // What systemd gives to all services, see Bus.
  Result<std::vector<std::string>> manager_environment(const Deadline& deadline = Deadline::never());

  // Less than the shortest pause between two asks (policy.hpp): who asks again gets another answer.
  static constexpr Duration recently = std::chrono::milliseconds(10);

 private:
  Result<std::unique_lock<std::timed_mutex>> lock(const std::string& subject, const Deadline& deadline);
  Result<void> connect(const Deadline& deadline);
  Result<UnitState> ask(const std::string& unit, const Deadline& deadline);

  std::timed_mutex mutex_;
  std::optional<Bus> bus_;
  struct Told {
    Clock::time_point asked;
    UnitState state;
  };
  std::map<std::string, Told> told_; // by the name that was asked for
};

} // namespace safe_deploy
