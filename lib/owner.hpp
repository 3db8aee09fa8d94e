#pragma once

#include "process.hpp"
#include "sockets.hpp"

#include <optional>
#include <string>

// To which unit a socket belongs. Beside what process.hpp finds out this knows the sockets that systemd holds
// on behalf of .socket units: they are its own by their cgroup.
namespace safe_deploy {

// The unit alone: a few microseconds (a round trip to systemd for the sockets that it holds).
Holder owner_unit(const Socket& socket);
// The process, too.
Holder owner(const Socket& socket);
// A unix socket's tables do not tell the cgroup: all processes are looked through.
Holder owner(const UnixSocket& socket);

// Whether it is this unit's: its own, or a .socket unit's that starts it. A user manager's unit counts for
// that user only. Nothing where it cannot be told (no cgroup v2, no permission).
std::optional<bool> is_owned_by(const Holder& holder, const std::string& unit);

} // namespace safe_deploy
