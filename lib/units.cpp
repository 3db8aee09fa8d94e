#include "units.hpp"

namespace safe_deploy {

Result<std::unique_lock<std::timed_mutex>> Units::lock(const std::string& subject, const Deadline& deadline) {
  std::unique_lock lock(mutex_, std::defer_lock);
  // Not until the end of time: libstdc++ counts it in another clock, in which there is none.
  const auto patience = Deadline::after(std::chrono::hours(1)).earlier(deadline);
  if (!lock.try_lock_until(patience.when()))
    return fail_errno(subject, "cannot ask systemd: it has not answered what was asked before", ETIMEDOUT);
  return lock;
}

Result<UnitState> Units::state(const std::string& unit, const Deadline& deadline) {
  const auto wanted = Clock::now() - recently;
  const auto locked = lock(unit, deadline);
  if (!locked) return tl::unexpected<Error>(locked.error());
  if (const auto told = told_.find(unit); told != told_.end() && told->second.asked >= wanted)
    return told->second.state;
  const auto now = Clock::now();
  auto state = ask(unit, deadline);
  if (state) told_.insert_or_assign(unit, Told{now, *state});
  return state;
}

Result<std::vector<std::string>> Units::manager_environment(const Deadline& deadline) {
  const auto locked = lock("systemd", deadline);
  if (!locked) return tl::unexpected<Error>(locked.error());
  if (auto connected = connect(deadline); !connected) return forward_error(connected);
  return bus_->manager_environment();
}

Result<void> Units::connect(const Deadline& deadline) {
  if (!bus_) {
    auto bus = Bus::open_system(deadline);
    if (!bus) return forward_error(bus);
    bus_.emplace(std::move(*bus));
  }
  bus_->set_deadline(deadline);
  return {};
}

Result<UnitState> Units::ask(const std::string& unit, const Deadline& deadline) {
  if (auto connected = connect(deadline); !connected) return forward_error(connected);
  auto state = bus_->unit(unit);
  if (!state && state.error().code == std::errc::not_connected) bus_.reset(); // open it anew next time
  return state;
}

} // namespace safe_deploy
