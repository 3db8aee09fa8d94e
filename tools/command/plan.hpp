#pragma once

#include "error.hpp"

#include <functional>
#include <string>
#include <vector>

namespace safe_deploy::command {

// What a command is about to change, in order: carried out, or told where that is all that is asked
// (--dry-run). What is so already is no step.
class Plan {
 public:
  using Act = std::function<Result<void>()>;

  // `what`: "link A -> B", as it follows "would". `content`: of a file, told below it.
  void add(std::string what, Act act, std::string content = "");
  [[nodiscard]] bool empty() const { return steps_.empty(); }

  // Stops at the first step that fails. What was done stays: the same command goes on from there.
  [[nodiscard]] Result<void> carry_out() const;
  // On stdout.
  void tell() const;

 private:
  struct Step {
    std::string what;
    Act act;
    std::string content;
  };
  std::vector<Step> steps_;
};

} // namespace safe_deploy::command
