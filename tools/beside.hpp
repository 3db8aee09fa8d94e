#pragma once

#include "error.hpp"

#include <string>
#include <vector>

namespace safe_deploy {

// The path of the tool of ours that stands beside this one.
Result<std::string> beside(const std::string& tool);

// Runs it, with the arguments that follow its name in `words`; its exit status, 128 and its number for a
// signal.
Result<int> run_beside(std::vector<std::string> words);

} // namespace safe_deploy
