#pragma once

#include "deadline.hpp"
#include "error.hpp"

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// IP addresses and ports as values, and what the system knows of them.
namespace safe_deploy {

enum class Protocol : std::uint8_t { tcp, udp };

// Which families may be used: the options -4 and -6.
enum class Family : std::uint8_t { any, v4, v6 };

struct Address {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{}; // in network order; IPv4 takes the first four
  std::uint32_t scope = 0;              // the interface's index of a link-local IPv6 address, else 0

  static Address v4_any() { return {}; }
  static Address v6_any() { return {.v6 = true}; }
  static Address v4_loopback();
  static Address v6_loopback();
  // The wildcard or the loopback address of a family.
  static Address any(bool v6) { return {.v6 = v6}; }
  static Address loopback(bool v6) { return v6 ? v6_loopback() : v4_loopback(); }

  [[nodiscard]] bool is_any() const { return *this == any(v6); }
  [[nodiscard]] bool is_loopback() const;   // 127.0.0.0/8, ::1
  [[nodiscard]] bool is_link_local() const; // fe80::/10: means nothing without an interface
  // IPv4 inside IPv6 (::ffff:1.2.3.4) as what it is on the wire.
  [[nodiscard]] Address unmapped() const;

  // "127.0.0.1", "::1", "fe80::1%eth0".
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const Address&, const Address&) = default;
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  // "127.0.0.1:9000", "[::1]:9000".
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// A sockaddr of the right kind with its length, for bind() and connect().
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  explicit SocketAddress(const Endpoint& endpoint);
  // A path, or an abstract name (without the NUL in front). Neither is ever longer than sun_path:
  // parse_target() sees to that.
  static SocketAddress unix_path(std::string_view path);
  static SocketAddress unix_abstract(std::string_view name);

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

 private:
  SocketAddress() = default;
};

// Reads "192.0.2.1", "2001:db8::1" or "fe80::1%eth0" (a zone may be a number, too). Outcome::usage if it is
// no address in the usual four-part or RFC 4291 form, or if its zone is no interface of this machine.
Result<Address> parse_address(std::string_view text);

// The addresses whose first bits are the same.
struct Network {
  Address address;
  unsigned bits = 0;

  // An IPv4 address in an IPv6 one counts as what it is on the wire.
  [[nodiscard]] bool contains(const Address& other) const;
};

// Reads "10.0.0.0/8", "2001:db8::/32", or an address, which stands for itself. Outcome::usage.
Result<Network> parse_network(std::string_view text);

// The addresses of a host name by the system's resolver, each once, in its order. Blocks for as long as the
// resolver does, which no deadline can cut short: call it where being left behind does no harm. Outcome::no
// with the resolver's words if there is none for now.
Result<std::vector<Address>> resolve(const std::string& host, Family family);

// Whether the kernel would deliver packets for this address on this machine (in this network namespace): it
// is asked for the route, so ip_nonlocal_bind and transparent proxies do not mislead. A wildcard address is
// local. Where routes cannot be asked for, whether a socket can be bound to it.
bool is_local(const Address& address);

} // namespace safe_deploy
