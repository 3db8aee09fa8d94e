#include "units.hpp"

namespace safe_deploy {

Result<UnitState> Units::state(const std::string& unit) {
  const std::lock_guard lock(mutex_);
  if (!bus_) {
    auto bus = Bus::open_system();
    if (!bus) return forward_error(bus);
    bus_.emplace(std::move(*bus));
  }
  auto state = bus_->unit(unit);
  if (!state && state.error().code == std::errc::not_connected) bus_.reset(); // open it anew next time
  return state;
}

} // namespace safe_deploy
