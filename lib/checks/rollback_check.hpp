#pragma once

#include "check.hpp"
#include "config.hpp"
#include "swap.hpp"

namespace safe_deploy {

// Whether there is a good release to go back to, should the one that would be deployed fail. Reasons: "none",
// "irreversible", "record"; skipped: "releases" (check `releases` tells what is wrong), "nothing-new".
class RollbackCheck final : public Check {
 public:
  RollbackCheck(Config config, Places places) : config_(std::move(config)), places_(std::move(places)) {}

  Answer ask(const Deadline& deadline) override;

 private:
  Config config_;
  Places places_;
};

} // namespace safe_deploy
