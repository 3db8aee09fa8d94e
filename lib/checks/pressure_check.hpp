#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

inline constexpr std::array<std::string_view, 3> pressure_resources{"cpu", "memory", "io"};
inline constexpr std::array<std::string_view, 3> pressure_averages{"10s", "60s", "300s"};
inline constexpr std::array<std::string_view, 2> pressure_shares{"some", "full"};

// Each by its index in the words above.
struct PressureQuestion {
  std::size_t resource = 0;
  double max = 100; // percent
  std::size_t average = 0;
  std::size_t share = 0;
};

// Whether tasks have to wait for a resource no longer than for so much of the time: the pressure stall
// information of the kernel (Documentation/accounting/psi.rst). Reasons: "pressure"; skipped, "unsupported",
// where the kernel does not tell, and "unreadable".
class PressureCheck final : public Check {
 public:
  explicit PressureCheck(PressureQuestion question, std::string directory = "/proc/pressure")
      : question_(question), directory_(std::move(directory)) {}

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }

 private:
  PressureQuestion question_;
  std::string directory_;
};

// The percentage that the text of a file in /proc/pressure holds.
std::optional<double> pressure(std::string_view text, std::size_t share, std::size_t average);

// pressure = cpu|memory|io, max = PERCENT, average = 10s|60s|300s (default 10s), share = some|full (default
// some).
inline constexpr KindKey pressure_keys[] = {
    {"pressure", judge::word<pressure_resources>},
    {"max", judge::percent},
    {.name = "average", .judge = judge::word<pressure_averages>, .otherwise = "10s"},
    {.name = "share", .judge = judge::word<pressure_shares>, .otherwise = "some"},
};
inline constexpr Explanation pressure_explained{
    "Where everything waits for a CPU, for memory or for the disks, a start takes longer than its time "
    "limit, and a good release is taken for a bad one.",
    "See 'cat /proc/pressure/*', and 'systemd-cgtop' for who has it. A deploy can wait until that is done."};
Result<std::shared_ptr<Check>> make_pressure_check(const Values& values);

} // namespace safe_deploy
