#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace safe_deploy {

// Who asked for a deploy or a rollback. The user is whom the request belongs to, which nobody can forge; what
// else is told of him is his own word, made printable and cut.
struct Asker {
  std::optional<uid_t> uid;
  std::string user;      // the name of the uid; empty if this machine's own file has none
  std::string sudo_user; // who became root for it
  std::string job;       // the CI job: "GitLab CI group/project#4711 https://..."
  [[nodiscard]] bool is_known() const { return uid.has_value(); }
};

// The name of a user by /etc/passwd: nobody who might not answer is asked. Empty if he has none there.
std::string user_name(uid_t uid);

} // namespace safe_deploy
