#pragma once

#include "address.hpp"
#include "deadline.hpp"
#include "fd.hpp"
#include "target.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Really connecting: for other machines, and where it is asked for. Everything else looks (sockets.hpp).
namespace safe_deploy {

// How one attempt to connect ended.
struct Reached {
  enum class How : std::uint8_t { connected, refused, timed_out, failed };
  std::string where; // "127.0.0.1", "unix:/run/x"
  How how = How::failed;
  int error_number = 0; // of `failed`

  // "127.0.0.1 refused", "10.0.0.5 timed out", "2001:db8::1: Network is unreachable"
  [[nodiscard]] std::string text() const;
};

// Connects to all of them at once, and closes at once. Returns when all have ended, when the first is
// connected, or at the deadline. TCP only.
std::vector<Reached> reach(const std::vector<Endpoint>& endpoints, const Deadline& deadline);

// As reach(), and keeps what it has: the first one that is connected, to talk there.
struct FirstReached {
  std::vector<Reached> all;
  Fd socket = {};        // non-blocking; none where none is connected
  std::size_t index = 0; // which one it is
};
FirstReached reach_first(const std::vector<Endpoint>& endpoints, const Deadline& deadline);

// Connects to a unix stream socket, to talk there. Waits until the deadline where the listener's queue is
// full.
FirstReached reach_first_unix(const Target& target, const Deadline& deadline);

// Waits for the events of poll(2), or an error, on one descriptor; false at the deadline.
bool await_events(int fd, short events, const Deadline& deadline);

// Connects to a unix socket, whatever its type.
Reached reach_unix(const Target& target);

// Who called listen(2) on a unix socket, by SO_PEERCRED (unix(7)) of a connection to it; nothing where there
// is no connection, or no longer such a process.
std::optional<pid_t> unix_listener(const Target& target);

bool any_connected(const std::vector<Reached>& all);
bool all_refused(const std::vector<Reached>& all);
std::string join_texts(const std::vector<Reached>& all); // with ", " between

} // namespace safe_deploy
