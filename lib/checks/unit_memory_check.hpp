#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "units.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

struct UnitMemoryLimits {
  std::optional<std::uint64_t> max;        // bytes
  std::optional<std::uint64_t> growth_max; // since the check was first asked about this invocation
};

// How much memory a unit has: MemoryCurrent= where the kernel measures it for systemd, else the sum of its
// processes' PSS (proc(5), smaps_rollup). Reasons: "high", "growth", "not-loaded"; skipped: "systemd",
// "inactive" (it does not run: nothing is measured), "not-measured" (no cgroups, no process), "no-earlier"
// (its growth alone is asked for, and this is the first ask).
class UnitMemoryCheck final : public Check {
 public:
  UnitMemoryCheck(std::string unit, UnitMemoryLimits limits, std::shared_ptr<Units> units)
      : unit_(std::move(unit)), limits_(limits), units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

  struct Measured {
    std::uint64_t bytes = 0;
    bool by_kernel = true; // else the sum of the PSS
  };
  // `first`: what it was when the check was first asked, so long ago; nothing: that is now.
  static Answer judge(const std::string& unit, const UnitMemoryLimits& limits, const Measured& now,
                      const std::optional<Measured>& first, Duration ago);

 private:
  std::string unit_;
  UnitMemoryLimits limits_;
  std::shared_ptr<Units> units_;
  std::string invocation_; // that `first_` is of
  std::optional<Measured> first_;
  Clock::time_point first_at_{};
};

// The memory of a unit as systemd tells it, or of the processes in its cgroup. Outcome::no where nothing can
// be measured; os_error where it is not permitted.
Result<UnitMemoryCheck::Measured> measure_memory(const UnitState& unit, const Deadline& deadline);

// "Pss:" of /proc/PID/smaps_rollup, in bytes.
std::optional<std::uint64_t> proportional_set_size(std::string_view smaps_rollup);

// unit-memory = UNIT, max = SIZE, growth-max = SIZE: at least one of them.
inline constexpr KindKey unit_memory_keys[] = {
    {"unit-memory", judge::unit},
    {"max", judge::positive_size},
    {"growth-max", judge::positive_size},
};
inline constexpr Explanation unit_memory_explained{
    "A release that leaks is healthy until the memory is used up, and then everything on the machine "
    "suffers.",
    "See 'systemd-cgtop -m' and 'systemctl status UNIT'. MemoryMax= in the unit keeps the harm to itself."};
Result<std::shared_ptr<Check>> make_unit_memory_check(const Values& values);

} // namespace safe_deploy
