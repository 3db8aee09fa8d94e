#include "target.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>

namespace safe_deploy {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

tl::unexpected<Error> wrong(std::string_view text, std::string problem) {
  return fail(Outcome::usage, printable(text), std::move(problem));
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view digits) {
  if (digits.empty()) return wrong(text, "the port is missing");
  const auto port = parse_count(digits, 1, 65535);
  if (!port) return wrong(text, fmt::format("'{}' is not a port: 1 to 65535", printable(digits)));
  return static_cast<std::uint16_t>(*port);
}

// What is wrong with a host name (RFC 1123, 2.1, with the underscore that people use), or nothing.
std::string fault_of_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return "the host is missing";
  if (name.size() > 253) return "a host name has at most 253 characters";
  std::string_view last_label;
  for (std::string_view rest = name;;) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view label = rest.substr(0, dot);
    if (label.empty()) return "a part of the host name is empty";
    if (label.size() > 63) return "a part of the host name has more than 63 characters";
    if (label.front() == '-' || label.back() == '-') return "a part of the host name starts or ends with '-'";
    if (std::any_of(label.begin(), label.end(),
                    [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; }))
      return "write the host name in its ASCII form (xn--...)";
    if (!std::all_of(label.begin(), label.end(), is_name_character)) return "not a host name";
    last_label = label;
    if (dot == rest.size()) break;
    rest.remove_prefix(dot + 1);
  }
  // No top-level domain is a number: it was meant to be an address (RFC 3696, 2).
  if (std::all_of(last_label.begin(), last_label.end(), is_digit)) return "not an IPv4 address";
  return "";
}

// With a zone or without, whether or not it needs one.
bool is_v6(std::string_view text) {
  in6_addr address{};
  return inet_pton(AF_INET6, std::string(text.substr(0, text.find('%'))).c_str(), &address) == 1;
}

Result<Target> with_address(Target target, std::string_view address) {
  auto parsed = parse_address(address);
  if (!parsed) return wrong(target.text, parsed.error().problem);
  target.kind = Target::Kind::address;
  target.address = parsed->unmapped();
  return target;
}

Result<Target> parse_unix(Target target, std::string_view path) {
  constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1; // the NUL behind it, or in front
  target.kind = path.starts_with('@') ? Target::Kind::unix_abstract : Target::Kind::unix_path;
  if (target.kind == Target::Kind::unix_abstract) path.remove_prefix(1);
  if (path.empty()) return wrong(target.text, "the path is missing");
  if (path.size() > most)
    return wrong(target.text, fmt::format("the path of a unix socket has at most {} bytes", most));
  if (path.find('\0') != std::string_view::npos) return wrong(target.text, "not a path");
  if (target.kind == Target::Kind::unix_path && path.ends_with('/'))
    return wrong(target.text, "the path of a unix socket is no directory");
  target.name = path;
  return target;
}

Result<Target> parse_bracketed(Target target, std::string_view rest) {
  const std::size_t close = rest.find(']');
  if (close == std::string_view::npos) return wrong(target.text, "']' is missing");
  const std::string_view address = rest.substr(1, close - 1);
  if (rest.size() == close + 1) return wrong(target.text, "the port is missing: [V6]:PORT");
  if (rest[close + 1] != ':') return wrong(target.text, "':' must follow ']'");
  const auto port = parse_port(target.text, rest.substr(close + 2));
  if (!port) return tl::unexpected<Error>(port.error());
  target.port = *port;
  if (address.find(':') == std::string_view::npos) return wrong(target.text, "not an IPv6 address");
  return with_address(std::move(target), address);
}

} // namespace

bool is_localhost(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  constexpr std::string_view localhost = "localhost";
  if (name.size() < localhost.size()) return false;
  const std::string_view tail = name.substr(name.size() - localhost.size());
  const bool matches =
      std::equal(tail.begin(), tail.end(), localhost.begin(), [](char a, char b) { return (a | 0x20) == b; });
  return matches && (tail.size() == name.size() || name[name.size() - tail.size() - 1] == '.');
}

Result<Target> parse_target(std::string_view text) {
  Target target{.text = std::string(text)};
  if (text.empty()) return wrong("''", "not a port");
  if (text.starts_with("unix:")) return parse_unix(std::move(target), text.substr(5));
  std::string_view rest = text;
  if (rest.starts_with("udp:")) {
    target.protocol = Protocol::udp;
    rest.remove_prefix(4);
  }
  if (rest.starts_with('[')) return parse_bracketed(std::move(target), rest);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) {
    const bool looks_like_port = std::all_of(rest.begin(), rest.end(), is_digit);
    const auto port = parse_port(text, rest);
    if (!port && !looks_like_port && !is_digit(rest.front()) && fault_of_name(rest).empty())
      return wrong(text, "the port is missing: HOST:PORT");
    if (!port) return tl::unexpected<Error>(port.error());
    target.port = *port;
    return target;
  }
  const std::string_view host = rest.substr(0, colon);
  if (host.find(':') != std::string_view::npos)
    return wrong(text, is_v6(rest) || is_v6(host) ? "write an IPv6 address in brackets: [V6]:PORT"
                                                  : "not PORT, HOST:PORT, [V6]:PORT, udp:... or unix:PATH");
  const auto port = parse_port(text, rest.substr(colon + 1));
  if (!port) return tl::unexpected<Error>(port.error());
  target.port = *port;
  const bool dotted = std::all_of(host.begin(), host.end(), [](char c) { return is_digit(c) || c == '.'; });
  if (dotted && std::any_of(host.begin(), host.end(), is_digit)) return with_address(std::move(target), host);
  if (const std::string fault = fault_of_name(host); !fault.empty()) return wrong(text, fault);
  target.kind = Target::Kind::name;
  target.name = host;
  return target;
}

Result<Target> parse_stream_target(std::string_view text) {
  auto target = parse_target(text);
  if (target && target->protocol == Protocol::udp) return wrong(text, "UDP knows no connections");
  return target;
}

Result<void> check_family(const Target& target, Family family) {
  if (family == Family::any || target.kind != Target::Kind::address) return {};
  if (target.address.v6 == (family == Family::v6)) return {};
  return wrong(target.text, target.address.v6 ? "is not IPv4 (-4)" : "is not IPv6 (-6)");
}

} // namespace safe_deploy
