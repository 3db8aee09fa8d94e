#pragma once

#include "check.hpp"
#include "error.hpp"
#include "policy.hpp"

#include <string>
#include <vector>

// What the checks of an app answered when they were last asked by its units: STATE_DIR/APP/checks/WHEN.json,
// for `safe-deploy status` and for the monitor, which tells of changes. Replaced in one step, and not synced:
// it is of no use after a crash.
namespace safe_deploy {

struct LastAnswer {
  std::string name;
  std::string verdict; // as word() has it: "ok", "warning", "failed", "skipped"
  std::string reason;
  std::string sentence;
};

struct LastAnswers {
  std::string at; // wall clock, RFC 3339; empty: never asked
  std::vector<LastAnswer> answers;
};

// `when` is preflight, health, watch or monitor.
Result<void> keep_answers(const std::string& state_dir, const std::string& app, const std::string& when,
                          const std::vector<Asking>& answers);

// Nothing asked yet, or what cannot be understood, are no answers.
Result<LastAnswers> last_answers(const std::string& state_dir, const std::string& app,
                                 const std::string& when);

} // namespace safe_deploy
