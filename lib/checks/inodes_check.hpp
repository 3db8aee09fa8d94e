#pragma once

#include "check.hpp"
#include "checks/file_system.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// Whether the file system of a path has room for more files: the used inodes are at most `used_max` percent.
// Reasons: "full"; skipped, "no-count", where the file system makes inodes as they are needed (btrfs); and
// those of cannot_see().
class InodesCheck final : public Check {
 public:
  InodesCheck(std::string path, double used_max)
      : look_(look_at_file_system(std::move(path))), used_max_(used_max) {}

  Answer ask(const Deadline& deadline) override;

 private:
  PathLook<FileSystem> look_;
  double used_max_;
};

// inodes = PATH, used-max = PERCENT (default 90%).
inline constexpr KindKey inodes_keys[] = {
    {"inodes", judge::absolute_path},
    {.name = "used-max", .judge = judge::percent, .otherwise = "90%"},
};
inline constexpr Explanation inodes_explained{
    "Where all inodes are used no file can be made: 'No space left on device', though there is room.",
    "See 'df -i' and 'du --inodes -x --max-depth=1'; caches, sessions and mail queues are what usually fills "
    "them."};
Result<std::shared_ptr<Check>> make_inodes_check(const Values& values);

} // namespace safe_deploy
