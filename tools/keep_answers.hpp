#pragma once

#include "app.hpp"
#include "last_answers.hpp"

#include <unistd.h>

namespace safe_deploy {

// For `safe-deploy status`: by root and where the units have it. That they cannot be kept is of no concern to
// who asked. The answers of the monitor are its own, which it compares with what it finds next.
inline void keep_last_answers(const App& app, const std::string& when, const std::vector<Asking>& answers) {
  if (geteuid() == 0 && when != "monitor" && app.places.state_dir == usual_directories().state &&
      !answers.empty())
    (void)keep_answers(app.places.state_dir, app.config.app, when, answers);
}

} // namespace safe_deploy
