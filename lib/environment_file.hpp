#pragma once

#include "error.hpp"

#include <functional>
#include <string_view>

namespace safe_deploy {

// What a file of EnvironmentFile= sets, by systemd's rules (systemd.exec(5), and src/basic/env-file.c for
// what it does not say): each assignment in its order, of which a later one replaces an earlier one.
// Outcome::no for what systemd refuses to read: a NUL byte, a name or value that is not UTF-8.
Result<void> read_environment_file(
    std::string_view text, const std::function<void(std::string_view name, std::string_view value)>& each);

} // namespace safe_deploy
