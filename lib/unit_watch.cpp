#include "unit_watch.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

// "demo.service failed: exited with status 3". When systemd has started it again the properties say so no
// more.
std::string tell(const UnitState& before, const UnitState& now, const char* what) {
  std::string how = now.how_main_ended();
  if (how.empty()) how = before.how_main_ended();
  if (how.empty() && now.result != "success") how = now.result;
  return how.empty() ? fmt::format("{} {}", now.name, what) : fmt::format("{} {}: {}", now.name, what, how);
}

bool runs(const UnitState& unit) {
  return unit.active_state == "active" || unit.active_state == "activating" ||
         unit.active_state == "reloading" || unit.active_state == "deactivating";
}

bool is_active(const UnitState& unit) {
  return unit.active_state == "active" || unit.active_state == "reloading";
}

} // namespace

UnitWatch::UnitWatch(std::string unit, std::unique_ptr<Bus> bus)
    : unit_(std::move(unit)), bus_(std::move(bus)) {}

Result<UnitWatch> UnitWatch::open(const std::string& unit, const Deadline& deadline) {
  auto bus = Bus::open_system(deadline);
  if (!bus) return forward_error(bus);
  UnitWatch watch(unit, std::make_unique<Bus>(std::move(*bus)));
  auto subscribed = watch.bus_->on_unit_changed(unit, [changed = watch.changed_.get()] { *changed = true; });
  if (!subscribed) return forward_error(subscribed);
  return watch;
}

std::optional<std::string> UnitWatch::look() {
  if (!bus_->process()) return std::nullopt;
  // A change that is told while systemd answers is no longer on the wire afterwards: it is looked for here.
  while (std::exchange(*changed_, false)) {
    auto now = bus_->unit(unit_);
    if (!now) return std::nullopt;
    if (auto reason = judge(before_ ? *before_ : *now, *now)) return reason;
    before_ = std::move(*now);
    if (!bus_->process()) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::string> UnitWatch::judge(const UnitState& before, const UnitState& now) {
  const std::string& name = now.name;
  if (now.load_state == "not-found") return fmt::format("there is no unit {}", name);
  if (now.load_state != "loaded") return fmt::format("{} cannot be started: {}", name, now.load_state);
  if (now.active_state == "failed" && !now.has_job) return tell(before, now, "failed");
  // "auto-restart" and, since systemd 254, "auto-restart-queued". The counter tells of one too quick to be
  // seen.
  const auto is_to_restart = [](const UnitState& unit) { return unit.sub_state.starts_with("auto-restart"); };
  const std::uint32_t expected = before.restarts + (is_to_restart(before) ? 1 : 0);
  if ((is_to_restart(now) && !is_to_restart(before)) || now.restarts > expected)
    return tell(before, now, "failed") + "; systemd starts it again";
  // A restart by somebody, too quick to be seen, is no failure; but what was asked was another process.
  if (is_active(before) && is_active(now) && before.invocation_id != now.invocation_id)
    return fmt::format("{} was restarted", name);
  // While it starts the main process may be handed on (MAINPID= of sd_notify(3), Type=forking).
  if (before.main_pid != 0 && now.main_pid != 0 && before.main_pid != now.main_pid &&
      before.sub_state != "start")
    return fmt::format("{}: its main process changed from PID {} to {}", name, before.main_pid, now.main_pid);
  if (now.active_state == "inactive" && runs(before) && !now.has_job) return tell(before, now, "stopped");
  return std::nullopt;
}

} // namespace safe_deploy
