#include "asker.hpp"

#include "name.hpp"
#include "user.hpp"

namespace safe_deploy {

std::string user_name(uid_t uid) {
  if (uid == 0) return "root"; // without asking anybody
  const auto user = find_local_user([&](const passwd& entry) { return entry.pw_uid == uid; });
  return user ? printable(user->name, 64) : "";
}

} // namespace safe_deploy
