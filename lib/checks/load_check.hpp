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

inline constexpr std::array<std::string_view, 3> load_averages{"1m", "5m", "15m"};

// Whether the load average, divided by the number of CPUs that are online, is at most `most`. `average`: one
// of load_averages, by its index. Reasons: "load"; skipped, "unreadable".
class LoadCheck final : public Check {
 public:
  LoadCheck(double most, std::size_t average, std::string file = "/proc/loadavg")
      : most_(most), average_(average), file_(std::move(file)) {}

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }

 private:
  double most_;
  std::size_t average_;
  std::string file_;
};

// The average of this index in the text of /proc/loadavg (proc(5)).
std::optional<double> load_average(std::string_view loadavg, std::size_t average);

// load = NUMBER, average = 1m|5m|15m (default 1m).
inline constexpr KindKey load_keys[] = {
    {"load", judge::positive_number},
    {.name = "average", .judge = judge::word<load_averages>, .otherwise = "1m"},
};
inline constexpr Explanation load_explained{
    "On a machine that has more to do than it can a start takes longer than its time limit, and a good "
    "release is taken for a bad one.",
    "See 'top' for what runs, and 'ps -eo state,pid,comm | grep ^D' for what waits for a disk. A deploy can "
    "wait until that is done."};
Result<std::shared_ptr<Check>> make_load_check(const Values& values);

} // namespace safe_deploy
