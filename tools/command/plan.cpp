#include "plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace safe_deploy::command {

void Plan::add(std::string what, Act act, std::string content) {
  steps_.push_back({std::move(what), std::move(act), std::move(content)});
}

Result<void> Plan::carry_out() const {
  for (const auto& step : steps_)
    if (auto done = step.act(); !done) return done;
  return {};
}

void Plan::tell() const {
  if (empty()) fmt::print("nothing would be changed\n");
  for (const auto& step : steps_) {
    fmt::print("would {}\n", step.what);
    for (std::string_view rest = step.content; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      fmt::print("{}{}\n", end == 0 ? "" : "    ", rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

} // namespace safe_deploy::command
