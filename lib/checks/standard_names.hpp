#pragma once

#include <array>
#include <string_view>

namespace safe_deploy {

// The checks that always precede a deploy (standard.hpp), in their order. No check of a configuration may
// have such a name: --only would mean both.
inline constexpr std::array<std::string_view, 10> standard_check_names{
    "unit",   "restarts", "port",      "disk",          "memory",
    "health", "releases", "unit-file", "start-timeout", "rollback"};

} // namespace safe_deploy
