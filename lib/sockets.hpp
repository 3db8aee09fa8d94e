#pragma once

#include "address.hpp"
#include "error.hpp"
#include "fd.hpp"
#include "netlink.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What sockets there are in this network namespace, as the kernel's tables have it: nothing here ever makes a
// connection. The source is sock_diag(7); where that is missing or forbidden, /proc/net.
namespace safe_deploy {

// The numbers are the kernel's (include/net/tcp_states.h). An unconnected UDP socket is `close`.
enum class SocketState : std::uint8_t {
  established = 1,
  syn_sent,
  syn_received,
  fin_wait1,
  fin_wait2,
  time_wait,
  close,
  close_wait,
  last_ack,
  listen,
  closing,
  new_syn_received,
  bound, // TCP, neither listening nor connected: told since Linux 6.8, by sock_diag only
};

// "LISTEN", "TIME_WAIT", as ss(8) and netstat(8) say it.
std::string_view state_name(SocketState state);

// A set of states: a bit each.
using States = std::uint32_t;
constexpr States state_bit(SocketState state) {
  return 1U << static_cast<unsigned>(state);
}
inline constexpr States listening_states = state_bit(SocketState::listen);
inline constexpr States all_states = 0x3ffe;

struct Socket {
  Protocol protocol = Protocol::tcp;
  SocketState state = SocketState::close;
  Endpoint local;
  Endpoint peer;
  std::uint32_t interface = 0; // it is bound to (SO_BINDTODEVICE), by index; 0: to none
  // An IPv6 wildcard socket that takes no IPv4. Nothing if the source does not tell (/proc/net).
  std::optional<bool> v6_only = {};
  uid_t uid = 0;
  std::uint64_t inode = 0;  // 0: no process has it any more (TIME_WAIT), or not told
  std::uint64_t cgroup = 0; // the id of its cgroup v2; 0: not told
  // Of TIME_WAIT: what is left of it.
  Duration time_left{};
};

struct UnixSocket {
  int type = 0; // SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
  SocketState state = SocketState::close;
  // As it was bound: a path, maybe a relative one; '\0' in front of an abstract name; empty if not bound.
  std::string name = {};
  std::uint64_t inode = 0; // the socket's own
  uid_t uid = 0;           // where the source tells it (Linux 5.3)
  // The file's inode, where the source tells it.
  std::optional<std::uint64_t> file_inode = {};
  dev_t file_device = 0; // as stat(2) has it, but for file systems with several (overlayfs, btrfs)
};

// Tells about the end of TCP or UDP sockets (SKNLGRP_INET_TCP_DESTROY and its like, sock_diag(7)): those of
// one local port, picked out by a filter in the kernel. The event comes once the port has been given back. No
// event is told for the end of TIME_WAIT.
class DestroyEvents {
 public:
  // Needs no privilege. Errors: the errno where this kernel or sandbox has no such events.
  static Result<DestroyEvents> subscribe(Protocol protocol, std::uint16_t port);

  // Becomes readable when such a socket ended, and also when events were lost (ENOBUFS): look again then.
  [[nodiscard]] int fd() const { return socket_.get(); }

  // Takes what has come; whether that was anything.
  bool drain();

 private:
  explicit DestroyEvents(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

// The socket tables. Not for two threads at once. The errors of the questions: the errno of the last source
// that was tried.
class Sockets {
 public:
  // The socket that would get a packet that this machine sends to the address and port: the listening TCP
  // socket, or the UDP socket.
  // One hash look-up in the kernel, whatever the number of sockets. A wildcard address asks for a socket that
  // is bound to just that.
  Result<std::optional<Socket>> receiver(Protocol protocol, const Endpoint& endpoint);
  // The same for up to 8 addresses at the price of little more than one. Valid until the next question.
  using Receivers = std::span<const std::optional<Socket>>;
  Result<Receivers> receivers(Protocol protocol, std::span<const Address> addresses, std::uint16_t port);

  // All sockets with this local port (0: with any) in one of the states. Listening ones alone cost a walk
  // over the listening hash (0.1 ms); anything more walks all connections of the machine (milliseconds when
  // there are tens of thousands).
  Result<std::vector<Socket>> on_port(Protocol protocol, std::uint16_t port, States states);

  // All unix sockets in one of the states.
  Result<std::vector<UnixSocket>> unix_sockets(States states);

  // The end of sockets as DestroyEvents, for at most 256 ports: each subscription costs the machine a little
  // with every socket that ends, and a descriptor. Outcome::no beyond that.
  Result<DestroyEvents> subscribe(Protocol protocol, std::uint16_t port);

  // Empty as long as sock_diag answers; else what it said, for people: "sock_diag: ...; reading /proc/net".
  [[nodiscard]] const std::string& limitation() const { return limitation_; }

 private:
  enum class Source : std::uint8_t { untried, sock_diag, proc };

  Result<void> open();
  Result<void> dump(Bytes request, const std::function<void(const NetlinkMessage&)>& take);
  Result<void> ask_receivers(Protocol protocol, std::span<const Address> addresses, std::uint16_t port);
  Result<bool> knows(Protocol protocol);
  Source& source(Protocol protocol) { return sources_[static_cast<std::size_t>(protocol)]; }
  void fall_back(Source& source, const Error& why);

  std::optional<Netlink> netlink_;
  std::vector<std::optional<Socket>> found_; // kept, as it is asked for every few milliseconds
  Source sources_[2] = {Source::untried, Source::untried};
  Source unix_source_ = Source::untried;
  std::string limitation_;
  unsigned subscriptions_ = 0;
};

// Whether a server could bind to the endpoint now; nothing is listened on, and the socket is closed at once.
// Only binding tells: whether an ended connection is in the way depends on an option of its socket
// (SO_REUSEADDR) that no table shows.
enum class Bindable : std::uint8_t {
  yes,
  in_use,
  not_local,     // the address is none of this machine
  not_permitted, // a port below ip_unprivileged_port_start, or a sandbox
  no_family,     // no IPv6, or no IPv4
};
// `reuse`: as a server that sets SO_REUSEADDR (TCP only; on UDP it would let two servers share the port).
// `v6_only`: a wildcard IPv6 address without IPv4.
Result<Bindable> try_bind(Protocol protocol, const Endpoint& endpoint, bool reuse, bool v6_only);

// The readers of what the kernel answers, for tests: nothing if it is no such answer.
std::optional<Socket> read_inet_diag(Bytes payload, Protocol protocol);
std::optional<UnixSocket> read_unix_diag(Bytes payload);
// One line of /proc/net/tcp, tcp6, udp, udp6, and of /proc/net/unix.
std::optional<Socket> read_proc_line(std::string_view line, Protocol protocol, bool v6);
std::optional<UnixSocket> read_proc_unix_line(std::string_view line);

} // namespace safe_deploy
