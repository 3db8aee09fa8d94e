#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "user.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace safe_deploy {

// jq filters that are compiled once, all together, and must each give true for a JSON text. They run in a
// process of their own, with a limit of memory, for neither a filter nor a body can be trusted to end. It is
// started at once, since libjq takes some 25 ms to start (it compiles its own builtins each time): that
// happens beside the waiting. Filters that only compare (`.status == "healthy"`) are decided here, and need
// the process for large bodies only.
class JqFilters {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>; // name without $, value: a string

  struct Judgement {
    // Why the first filter that does not give true, and nothing else, is not content:
    // `.status == "healthy" gave false (it is "unhealthy")`; or why the body is not JSON. Empty: all are.
    std::string problem = {};
    // The numbers that the filters speak of, each once, as the path in the filter says it:
    // {".activeStreams", 2}.
    std::vector<std::pair<std::string, double>> numbers = {};
  };

  // Starts the compiling and returns at once. `on_failure` is called, on a thread of its own, if a filter
  // does not compile; what it refers to must live as long as the process may wait. Bodies will be of
  // `max_body` bytes at most: the process may take 32 times as much of memory, and 32 MiB at least. To be
  // called on a thread that lives as long as the filters are asked. `user`: as Apart has it; the same as of
  // the check that asks.
  static std::shared_ptr<JqFilters> start(std::vector<std::string> filters, Variables variables,
                                          std::function<void(const Error&)> on_failure = {},
                                          std::uint64_t max_body = 1024UL * 1024, UserPtr user = {});

  // Waits until they are compiled. Outcome::usage if one cannot be, timed_out.
  Result<void> compiled(const Deadline& deadline = Deadline::never());

  // Errors: those of compiled(); timed_out for a filter that does not end; no for one that takes too much
  // memory; os_error where there can be no process.
  Result<Judgement> check(std::string_view body, const Deadline& deadline);

 private:
  struct State;
  JqFilters() = default;
  std::shared_ptr<State> state_; // shared with the thread that waits for the compiling
};

} // namespace safe_deploy
