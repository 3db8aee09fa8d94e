#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace safe_deploy {

// Whether so much memory can be had without swapping: MemAvailable of /proc/meminfo (proc(5)). Reason: "low".
class MemoryCheck final : public Check {
 public:
  explicit MemoryCheck(std::uint64_t least) : least_(least) {}

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }

 private:
  std::uint64_t least_; // bytes
};

// MemAvailable in bytes.
std::optional<std::uint64_t> memory_available(std::string_view meminfo);

// memory = SIZE: so much must be available.
inline constexpr KindKey memory_keys[] = {{"memory", judge::positive_size}};
inline constexpr Explanation memory_explained{
    "While the new process starts both may be in memory; where there is none left the kernel kills one of "
    "them.",
    "See 'free -h' and 'systemd-cgtop -m' for who has it."};
Result<std::shared_ptr<Check>> make_memory_check(const Values& values);

} // namespace safe_deploy
