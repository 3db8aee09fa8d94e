#pragma once

#include "error.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace safe_deploy {

// jq filters that are compiled once, all together, and must each give true for a JSON text. libjq takes some
// 25 ms to start (it compiles its own builtins each time), so that happens on a thread of its own, beside the
// waiting; and not at all for filters that only compare (`.status == "healthy"`), as long as they are
// content.
class JqFilters {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>; // name without $, value: a string

  // Starts the compiling and returns at once. `on_failure` is called, on that thread, if a filter does not
  // compile; what it refers to must live as long as the process may wait.
  static std::shared_ptr<JqFilters> start(std::vector<std::string> filters, Variables variables,
                                          std::function<void(const Error&)> on_failure = {});

  // Waits until they are compiled. Outcome::usage if one cannot be.
  Result<void> compiled();

  // Whether each filter gives true, and nothing else, for `json`. The error, Outcome::no, says what the first
  // that does not gave instead: `.status == "healthy" gave false (it is "unhealthy")`. A filter that computes
  // without end is not interrupted here: the policy gives such a check up.
  Result<void> check(std::string_view json);

  // The numbers that the filters speak of, each once, as the path in the filter says it: {".activeStreams",
  // 2}.
  std::vector<std::pair<std::string, double>> numbers(std::string_view json);

 private:
  struct State;
  JqFilters() = default;
  std::shared_ptr<State> state_; // shared with the compiling thread
};

} // namespace safe_deploy
