#pragma once

#include "bus.hpp"
#include "error.hpp"

#include <memory>
#include <optional>
#include <string>

namespace safe_deploy {

// Watches a unit for the moment from which on waiting for it makes no sense: it failed, it stopped, its main
// process ended and systemd is about to start it again, or it is another process or invocation by now.
class UnitWatch {
 public:
  // Errors: os_error where systemd cannot be asked (no bus, a sandbox).
  static Result<UnitWatch> open(const std::string& unit, const Deadline& deadline);

  // Readable when look() may have something new to say.
  [[nodiscard]] int fd() const { return bus_->fd(); }

  // Why there is no use in waiting: "demo.service failed: exited with status 3". Nothing while there is.
  std::optional<std::string> look();

  // The unit as look() saw it last; nullptr before that.
  [[nodiscard]] const UnitState* state() const { return before_ ? &*before_ : nullptr; }

  // The judgement alone: what `now` means for one who saw `before`.
  static std::optional<std::string> judge(const UnitState& before, const UnitState& now);

 private:
  UnitWatch(std::string unit, std::unique_ptr<Bus> bus);

  std::string unit_;
  std::unique_ptr<Bus> bus_;
  std::unique_ptr<bool> changed_ = std::make_unique<bool>(true);
  std::optional<UnitState> before_ = {};
};

} // namespace safe_deploy
