#include "priority.hpp"

#include "name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

constexpr std::array<std::string_view, 8> names{"emerg",   "alert",  "crit", "err",
                                                "warning", "notice", "info", "debug"};

} // namespace

Result<int> parse_priority(std::string_view name) {
  const auto* found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  return fail(Outcome::usage, fmt::format("'{}'", printable(name, 40)),
              "is no priority (emerg, alert, crit, err, warning, notice, info or debug)");
}

std::string_view priority_name(int priority) {
  return names.at(static_cast<std::size_t>(priority));
}

} // namespace safe_deploy
