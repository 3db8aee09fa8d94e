#pragma once

#include "check.hpp"
#include "config.hpp"
#include "error.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// What ${app}, ${release} and ${link} stand for in the values of a check.
struct CheckContext {
  std::string app;
  std::string release;
  std::string link;
  std::string unit;
};

// Makes the check of a section ready to be asked: everything about it that can be wrong is found here.
// Outcome::bad_config with FILE:LINE.
Result<std::shared_ptr<Check>> make_check(const CheckSection& section, const CheckContext& context);

} // namespace safe_deploy
