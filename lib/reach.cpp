#include "reach.hpp"

#include "fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace safe_deploy {

namespace {

struct Attempt {
  Fd socket = {};
  bool pending = false;
};

Reached ended(std::string where, int error_number) {
  switch (error_number) {
    case 0:
      return {std::move(where), Reached::How::connected};
    case ECONNREFUSED:
      return {std::move(where), Reached::How::refused};
    case ETIMEDOUT:
      return {std::move(where), Reached::How::timed_out};
    default:
      return {std::move(where), Reached::How::failed, error_number};
  }
}

int connect_now(int socket, const SocketAddress& address) {
  int result = 0;
  do result = connect(socket, address.get(), address.length);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

Attempt begin(const Endpoint& endpoint, Reached& reached) {
  Attempt attempt;
  attempt.socket.reset(
      socket(endpoint.address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int error_number =
      attempt.socket ? connect_now(attempt.socket.get(), SocketAddress(endpoint)) : errno;
  attempt.pending = error_number == EINPROGRESS;
  reached = attempt.pending ? Reached{endpoint.address.text(), Reached::How::timed_out}
                            : ended(endpoint.address.text(), error_number);
  return attempt;
}

} // namespace

std::string Reached::text() const {
  switch (how) {
    case How::connected:
      return where + " connected";
    case How::refused:
      return where + " refused";
    case How::timed_out:
      return where + " timed out";
    case How::failed:
      break;
  }
  return fmt::format("{}: {}", where, std::system_category().message(error_number));
}

bool any_connected(const std::vector<Reached>& all) {
  return std::any_of(all.begin(), all.end(),
                     [](const Reached& reached) { return reached.how == Reached::How::connected; });
}

bool all_refused(const std::vector<Reached>& all) {
  return std::all_of(all.begin(), all.end(),
                     [](const Reached& reached) { return reached.how == Reached::How::refused; });
}

std::string join_texts(const std::vector<Reached>& all) {
  std::string text;
  for (const auto& reached : all) text += (text.empty() ? "" : ", ") + reached.text();
  return text;
}

std::vector<Reached> reach(const std::vector<Endpoint>& endpoints, const Deadline& deadline) {
  return reach_first(endpoints, deadline).all;
}

FirstReached reach_first(const std::vector<Endpoint>& endpoints, const Deadline& deadline) {
  FirstReached first;
  std::vector<Reached>& results = first.all;
  results.resize(endpoints.size());
  std::vector<Attempt> attempts;
  for (std::size_t i = 0; i < endpoints.size(); ++i) attempts.push_back(begin(endpoints[i], results[i]));
  std::vector<pollfd> waiting(attempts.size());
  while (!any_connected(results)) {
    for (std::size_t i = 0; i < attempts.size(); ++i)
      waiting[i] = {attempts[i].pending ? attempts[i].socket.get() : -1, POLLOUT, 0};
    if (std::none_of(attempts.begin(), attempts.end(), [](const Attempt& one) { return one.pending; })) break;
    const int ready = poll(waiting.data(), waiting.size(), deadline.for_poll());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break; // the deadline: those that are pending have timed out
    for (std::size_t i = 0; i < attempts.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      int error_number = 0;
      socklen_t size = sizeof error_number;
      if (getsockopt(attempts[i].socket.get(), SOL_SOCKET, SO_ERROR, &error_number, &size) != 0)
        error_number = errno;
      attempts[i].pending = false;
      results[i] = ended(std::move(results[i].where), error_number);
    }
  }
  for (; first.index < results.size(); ++first.index) {
    if (results[first.index].how != Reached::How::connected) continue;
    first.socket = std::move(attempts[first.index].socket);
    break;
  }
  return first;
}

bool await_events(int fd, short events, const Deadline& deadline) {
  for (;;) {
    pollfd waiting{fd, events, 0};
    const int ready = poll(&waiting, 1, deadline.for_poll());
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

namespace {

SocketAddress unix_address(const Target& target) {
  return target.kind == Target::Kind::unix_path ? SocketAddress::unix_path(target.name)
                                                : SocketAddress::unix_abstract(target.name);
}

// Connected to a unix socket of whatever type; the errno of connect(2) beside.
Fd connect_to_unix(const Target& target, int& error_number) {
  const SocketAddress address = unix_address(target);
  Fd socket;
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
    socket.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    error_number = socket ? connect_now(socket.get(), address) : errno;
    if (error_number != EPROTOTYPE) break; // unix(7): the socket there is of another type
  }
  return socket;
}

} // namespace

FirstReached reach_first_unix(const Target& target, const Deadline& deadline) {
  FirstReached first;
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // While the queue is full a non-blocking connect(2) fails at once, and no event tells when there is room. A
  // blocking one waits for it, as long as SO_SNDTIMEO says; 0 would be without limit.
  timeval limit{};
  if (!deadline.is_never()) {
    const auto left = std::max<Duration>(deadline.remaining(), std::chrono::milliseconds(1)).count();
    limit.tv_sec = static_cast<time_t>(left / 1'000'000);
    limit.tv_usec = static_cast<suseconds_t>(left % 1'000'000);
  }
  int error_number = errno;
  if (socket) {
    (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    error_number = connect_now(socket.get(), unix_address(target));
  }
  first.all.push_back(ended(target.text, error_number == EAGAIN ? ETIMEDOUT : error_number));
  if (error_number != 0) return first;
  const int flags = fcntl(socket.get(), F_GETFL);
  (void)fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK);
  first.socket = std::move(socket);
  return first;
}

Reached reach_unix(const Target& target) {
  int error_number = 0;
  (void)connect_to_unix(target, error_number);
  // A full queue of connections that wait to be accepted: somebody listens all the same.
  if (error_number == EAGAIN) error_number = 0;
  return ended(target.text, error_number);
}

std::optional<pid_t> unix_listener(const Target& target) {
  int error_number = 0;
  const Fd socket = connect_to_unix(target, error_number);
  ucred peer{};
  socklen_t size = sizeof peer;
  if (error_number != 0 || getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
      peer.pid <= 0)
    return std::nullopt;
  return peer.pid;
}

} // namespace safe_deploy
