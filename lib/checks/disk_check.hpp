#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// Whether the file system of a path has room: the used part, as df(1) tells it, is at most `used_max`
// percent. Reason: "full". A path on a dead network file system blocks: it is no instant check.
class DiskCheck final : public Check {
 public:
  DiskCheck(std::string path, double used_max) : path_(std::move(path)), used_max_(used_max) {}

  Answer ask(const Deadline& deadline) override;

 private:
  std::string path_;
  double used_max_;
};

// disk = PATH, used-max = PERCENT (default 80%).
inline constexpr KindKey disk_keys[] = {
    {"disk", judge::absolute_path},
    {.name = "used-max", .judge = judge::percent, .otherwise = "80%"},
};
Result<std::shared_ptr<Check>> make_disk_check(const Values& values);

} // namespace safe_deploy
