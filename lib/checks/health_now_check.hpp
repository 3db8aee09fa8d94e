#pragma once

#include "check.hpp"
#include "policy.hpp"
#include "units.hpp"

#include <memory>
#include <string>
#include <vector>

namespace safe_deploy {

// Whether what runs now is healthy: all its health checks, asked once, as one answer. Skipped if the unit
// does not run: there is nothing to ask.
class HealthNowCheck final : public Check {
 public:
  HealthNowCheck(std::string unit, std::vector<Asked> checks, std::shared_ptr<Units> units)
      : unit_(std::move(unit)), checks_(std::move(checks)), units_(std::move(units)) {}

  Answer ask(const Deadline& deadline) override;

 private:
  std::string unit_;
  std::vector<Asked> checks_;
  std::shared_ptr<Units> units_;
};

} // namespace safe_deploy
