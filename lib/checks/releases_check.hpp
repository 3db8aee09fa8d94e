#pragma once

#include "check.hpp"
#include "config.hpp"
#include "swap.hpp"

namespace safe_deploy {

// Whether there is a release to deploy: the directory, the link, a complete release that is not bad, and one
// that is not what runs already. Reasons: "config", "releases", "link", "nothing-new" (a warning: such a
// deploy does nothing), "none".
class ReleasesCheck final : public Check {
 public:
  ReleasesCheck(Config config, Places places) : config_(std::move(config)), places_(std::move(places)) {}

  Answer ask(const Deadline& deadline) override;

 private:
  Config config_;
  Places places_;
};

} // namespace safe_deploy
