#pragma once

#include "asker.hpp"

namespace safe_deploy {

// Who runs this process, for the history: his uid; who he was before sudo(8); and the CI job by the variables
// that GitHub Actions, GitLab CI, Jenkins and others set. No secret is among them.
Asker asker_here();

// The same for a tool that a person may run or a unit: nobody in a unit, where a request tells who asked.
Asker asker_by_hand();

} // namespace safe_deploy
