#pragma once

#include "deadline.hpp"
#include "options.hpp"
#include "quantity.hpp"

#include <tuple>

// What the tools that wait for TARGETs, and may become a command then, have in common.
namespace safe_deploy {

// What does not go together. Outcome::usage.
inline Result<void> check_wait_arguments(const CommandLine& line) {
  if (line.has("json") && !line.command.empty())
    return fail(Outcome::usage, "--json", "does not go with a command, whose output it would mix with");
  if (line.has("app") && !line.arguments.empty())
    return fail(Outcome::usage, line.arguments[0], "no TARGET is needed with --app");
  return {};
}

// --timeout and --interval, where they are given. Outcome::usage for an interval without an end, or of
// nothing.
inline Result<void> read_wait_durations(const CommandLine& line, Duration& timeout, Duration& interval) {
  for (const auto& [option, to, parse] :
       {std::tuple("timeout", &timeout, &parse_duration), {"interval", &interval, &parse_limited_duration}}) {
    if (!line.has(option)) continue;
    auto value = of_option(option, parse(line.value(option)));
    if (!value) return forward_error(value);
    *to = *value;
  }
  return {};
}

} // namespace safe_deploy
