#pragma once

#include "checks/kinds.hpp"
#include "checks/make.hpp"
#include "config.hpp"
#include "error.hpp"
#include "policy.hpp"
#include "swap.hpp"

#include <string>
#include <vector>

namespace safe_deploy {

// The moments at which checks are asked: `when =` of a [check] section.
enum class When { preflight, health, watch, monitor };
Result<When> parse_when(std::string_view text);

struct NamedCheck {
  Asked asked;
  std::string description;
  const Explanation* explained = nullptr;
};

// The configured checks of a moment. A check that cannot be made now, for a ${...} has no value, answers that
// it is skipped. Outcome::bad_config with FILE:LINE.
Result<std::vector<NamedCheck>> configured_checks(const Config& config, When when,
                                                  const CheckContext& context);

// Whether the app that runs is well: its checks of a moment after the start, and that its unit listens on its
// port. The context needs no identity: it is set here.
Result<std::vector<NamedCheck>> running_checks(const Config& config, When when, CheckContext context);

// The checks that always precede a deploy, by their names in standard_names.hpp.
Result<std::vector<NamedCheck>> standard_checks(const Config& config, const Places& places,
                                                const CheckContext& context);

} // namespace safe_deploy
