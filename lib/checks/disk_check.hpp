#pragma once

#include "check.hpp"
#include "checks/file_system.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// Whether the file system of a path has room: the used part, as df(1) tells it, is at most `used_max`
// percent. Reasons: "full"; skipped, "no-count", where the file system counts no blocks; and those of
// cannot_see().
class DiskCheck final : public Check {
 public:
  DiskCheck(std::string path, double used_max)
      : look_(look_at_file_system(std::move(path))), used_max_(used_max) {}

  Answer ask(const Deadline& deadline) override;

 private:
  PathLook<FileSystem> look_;
  double used_max_;
};

// disk = PATH, used-max = PERCENT (default 80%).
inline constexpr KindKey disk_keys[] = {
    {"disk", judge::absolute_path},
    {.name = "used-max", .judge = judge::percent, .otherwise = "80%"},
};
inline constexpr Explanation disk_explained{
    "On a full disk releases are written in half, databases stop, and logs are lost just when they are "
    "needed.",
    "See 'df -h' and 'du -xh --max-depth=1'; old releases and logs are what usually can go."};
Result<std::shared_ptr<Check>> make_disk_check(const Values& values);

} // namespace safe_deploy
