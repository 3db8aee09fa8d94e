#pragma once

#include "checks/make.hpp"
#include "config.hpp"

#include <string>

namespace safe_deploy {

// What the checks of an app share, as far as its configuration and its link tell it. `credentials` is
// $CREDENTIALS_DIRECTORY. It takes 5 s at most, where the releases are on a file system that does not answer.
CheckContext make_context(const Config& config, std::string credentials);

} // namespace safe_deploy
