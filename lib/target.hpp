#pragma once

#include "address.hpp"
#include "error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

// What a person means by a port, as the tools and the configuration take it:
//   PORT            this machine, on any of the loopback or wildcard addresses
//   HOST:PORT       a name or an IPv4 address
//   [V6]:PORT       an IPv6 address, with its zone where it needs one
//   udp:...         any of these, for UDP
//   unix:PATH       a unix socket; unix:@NAME is an abstract one
struct Target {
  enum class Kind : std::uint8_t { port, address, name, unix_path, unix_abstract };

  std::string text = {}; // as it was written
  Kind kind = Kind::port;
  Protocol protocol = Protocol::tcp;
  std::uint16_t port = 0;
  Address address = {}; // of Kind::address
  // Of Kind::name the host; of the unix kinds the path, or the abstract name without the @.
  std::string name = {};

  [[nodiscard]] bool is_unix() const { return kind == Kind::unix_path || kind == Kind::unix_abstract; }
};

// Everything that can be wrong with a target as such is found here, before anybody waits for it:
// Outcome::usage.
Result<Target> parse_target(std::string_view text);

// One that can be connected to and talked with over a stream: no udp:... Outcome::usage.
Result<Target> parse_stream_target(std::string_view text);

// "localhost" and what ends in ".localhost" are the loopback addresses, whatever a resolver would say
// (RFC 6761, 6.3).
bool is_localhost(std::string_view name);

// A target that `family` leaves nothing of ("-4" and "[::1]:80") is a usage error.
Result<void> check_family(const Target& target, Family family);

} // namespace safe_deploy
