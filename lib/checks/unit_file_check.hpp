#pragma once

#include "check.hpp"
#include "program.hpp"

#include <string>

namespace safe_deploy {

// Whether systemd-analyze(1) finds nothing wrong with a unit's file and drop-ins as they are on disk.
// Reasons: "verify"; skipped: "systemd-analyze" (it is not there or could not do its work), "no-release"
// (what ExecStart= names goes through the app's link, which leads to nothing yet).
class UnitFileCheck final : public Check {
 public:
  // `link`: the symlink that the next deploy will point at a release; may be empty.
  UnitFileCheck(std::string unit, std::string link, const std::string& program = "/usr/bin/systemd-analyze");

  Answer ask(const Deadline& deadline) override;

 private:
  [[nodiscard]] Answer judge(int wait_status, const std::string& output) const;

  std::string unit_;
  std::string link_;
  Program program_;
};

} // namespace safe_deploy
