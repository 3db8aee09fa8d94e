#pragma once

#include "process.hpp"

#include <map>
#include <string>
#include <vector>

namespace safe_deploy {

// Which of some directories running processes have to do with: as working or root directory, as what they
// run, have mapped or have open (proc(5)). Also what was moved or deleted meanwhile is theirs until they end.
struct InUse {
  std::map<std::string, Holder> by; // the name of a directory, and one of the processes
  unsigned not_looked_into = 0;     // processes of others, for which it takes CAP_SYS_PTRACE; or too large
};

// `directory` holds the directories `names`. Looks through all processes once; by the paths that the kernel
// tells, so that what a process sees through a bind mount is not found. os_error where they cannot be looked
// through.
Result<InUse> find_in_use(int directory, const std::vector<std::string>& names);

} // namespace safe_deploy
