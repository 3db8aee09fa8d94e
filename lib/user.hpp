#pragma once

#include "error.hpp"

#include <pwd.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace safe_deploy {

// A user of this machine, with the groups that are his.
struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups; // the supplementary ones
};
using UserPtr = std::shared_ptr<const User>;

// As whom root does what needs no rights: the user _safe-deploy of the package, without supplementary groups.
// nullptr where there is none, or this process is not root's.
UserPtr unprivileged_user();

// The first entry of /etc/passwd that is wanted, without groups; nullptr where there is none. Nobody who
// might not answer is asked.
UserPtr find_local_user(const std::function<bool(const passwd& entry)>& is_wanted);

// A user, and the number of a user or a group, by the system's databases (nsswitch.conf(5)), or by the number
// itself. They may ask another machine and block. Outcome::no where there is no such name; os_error.
Result<UserPtr> find_user(const std::string& name);
Result<uid_t> find_user_id(const std::string& name);
Result<gid_t> find_group_id(const std::string& name);

// Makes the calling thread this user, with no capabilities and no way to get any (no_new_privs), and with it
// the processes that it starts from then on; the other threads stay what they are (credentials(7): to the
// kernel they are each thread's own; it is glibc that gives them all the same). There is no way back.
// os_error where this process may not (CAP_SETUID, CAP_SETGID).
Result<void> become_on_this_thread(const User& user);

} // namespace safe_deploy
