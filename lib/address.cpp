#include "address.hpp"

#include "fd.hpp"
#include "name.hpp"
#include "quantity.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>

namespace safe_deploy {

namespace {

std::optional<std::uint32_t> interface_index(const std::string& zone) {
  if (const unsigned index = if_nametoindex(zone.c_str()); index != 0) return index;
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
  if (error != std::errc() || end != zone.data() + zone.size() || index == 0) return std::nullopt;
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(index, name.data()) == nullptr) return std::nullopt;
  return index;
}

Address from_sockaddr(const sockaddr& from) {
  Address address;
  if (from.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &from, sizeof v4);
    std::memcpy(address.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
  } else {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &from, sizeof v6);
    address.v6 = true;
    std::memcpy(address.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    address.scope = v6.sin6_scope_id;
  }
  return address;
}

// Whether the route to the address ends on this machine (ip route get: "local ..."), or nothing if the kernel
// does not tell.
std::optional<bool> routed_here(const Address& address) {
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return std::nullopt;
  struct {
    nlmsghdr header{};
    rtmsg route{};
    rtattr destination{};
    std::array<std::uint8_t, 16> bytes{};
    rtattr interface {};
    std::uint32_t index = 0;
  } request;
  const std::size_t address_size = address.v6 ? 16 : 4;
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = address.v6 ? AF_INET6 : AF_INET;
  request.route.rtm_dst_len = static_cast<unsigned char>(8 * address_size);
  request.destination.rta_type = RTA_DST;
  request.destination.rta_len = static_cast<unsigned short>(RTA_LENGTH(address_size));
  std::copy_n(address.bytes.begin(), address_size, request.bytes.begin());
  std::size_t size = offsetof(decltype(request), bytes) + address_size;
  if (address.scope != 0) { // only IPv6 addresses have one, so the attribute follows without a gap
    request.interface.rta_type = RTA_OIF;
    request.interface.rta_len = RTA_LENGTH(sizeof request.index);
    request.index = address.scope;
    size = sizeof request;
  }
  request.header.nlmsg_len = static_cast<std::uint32_t>(size);
  if (send(netlink.get(), &request, size, 0) < 0) return std::nullopt;

  alignas(nlmsghdr) std::array<char, 4096> buffer;
  const ssize_t received = recv(netlink.get(), buffer.data(), buffer.size(), 0);
  nlmsghdr header{};
  if (received < static_cast<ssize_t>(sizeof header)) return std::nullopt;
  std::memcpy(&header, buffer.data(), sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR) { // no route at all: certainly not an address of this machine
    nlmsgerr error{};
    if (received < static_cast<ssize_t>(NLMSG_LENGTH(sizeof error))) return std::nullopt;
    std::memcpy(&error, buffer.data() + NLMSG_HDRLEN, sizeof error);
    return error.error == -ENETUNREACH || error.error == -EHOSTUNREACH ? std::optional(false) : std::nullopt;
  }
  rtmsg route{};
  if (header.nlmsg_type != RTM_NEWROUTE || received < static_cast<ssize_t>(NLMSG_LENGTH(sizeof route)))
    return std::nullopt;
  std::memcpy(&route, buffer.data() + NLMSG_HDRLEN, sizeof route);
  return route.rtm_type == RTN_LOCAL;
}

} // namespace

Address Address::v4_loopback() {
  return {.bytes = {127, 0, 0, 1}};
}

Address Address::v6_loopback() {
  Address address{.v6 = true};
  address.bytes[15] = 1;
  return address;
}

bool Address::is_loopback() const {
  return v6 ? *this == v6_loopback() : bytes[0] == 127;
}

bool Address::is_link_local() const {
  return v6 && bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80;
}

Address Address::unmapped() const {
  constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!v6 || !std::equal(prefix.begin(), prefix.end(), bytes.begin())) return *this;
  Address address;
  std::copy_n(bytes.begin() + 12, 4, address.bytes.begin());
  return address;
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  (void)inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer.data(), buffer.size());
  std::string text = buffer.data();
  if (scope == 0) return text;
  std::array<char, IF_NAMESIZE> name{};
  return if_indextoname(scope, name.data()) != nullptr ? fmt::format("{}%{}", text, name.data())
                                                       : fmt::format("{}%{}", text, scope);
}

std::string Endpoint::text() const {
  return address.v6 ? fmt::format("[{}]:{}", address.text(), port)
                    : fmt::format("{}:{}", address.text(), port);
}

SocketAddress::SocketAddress(const Endpoint& endpoint) {
  const Address& address = endpoint.address;
  if (address.v6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    v6.sin6_scope_id = address.scope;
    std::memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
    std::memcpy(&storage, &v6, sizeof v6);
    length = sizeof v6;
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
    std::memcpy(&storage, &v4, sizeof v4);
    length = sizeof v4;
  }
}

SocketAddress SocketAddress::unix_path(std::string_view path) {
  SocketAddress address;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const std::size_t size = path.copy(un.sun_path, sizeof un.sun_path - 1);
  std::memcpy(&address.storage, &un, sizeof un);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + 1);
  return address;
}

SocketAddress SocketAddress::unix_abstract(std::string_view name) {
  SocketAddress address;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const std::size_t size = name.copy(un.sun_path + 1, sizeof un.sun_path - 1);
  std::memcpy(&address.storage, &un, sizeof un);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
  return address;
}

Result<Address> parse_address(std::string_view text) {
  const std::size_t percent = text.find('%');
  const std::string digits(text.substr(0, percent));
  Address address;
  address.v6 = digits.find(':') != std::string::npos;
  // inet_pton(3) takes no "127.1" and no octal parts, unlike inet_aton(3).
  if (digits.find('\0') != std::string::npos ||
      inet_pton(address.v6 ? AF_INET6 : AF_INET, digits.c_str(), address.bytes.data()) != 1)
    return fail(Outcome::usage, std::string(text), "not an IP address");
  if (percent == std::string_view::npos) {
    if (address.is_link_local())
      return fail(Outcome::usage, std::string(text),
                  fmt::format("a link-local address needs its interface: {}%eth0", text));
    return address;
  }
  if (!address.is_link_local())
    return fail(Outcome::usage, std::string(text), "only a link-local address has an interface behind '%'");
  const auto index = interface_index(std::string(text.substr(percent + 1)));
  if (!index) return fail(Outcome::usage, std::string(text), "no such interface behind '%'");
  address.scope = *index;
  return address;
}

bool Network::contains(const Address& other) const {
  const Address inside = other.unmapped();
  if (inside.v6 != address.v6) return false;
  for (unsigned bit = 0; bit < bits; bit += 8) {
    const unsigned kept = std::min(bits - bit, 8U);
    const auto mask = static_cast<std::uint8_t>(0xff00U >> kept);
    if ((inside.bytes[bit / 8] & mask) != (address.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

Result<Network> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string digits(text.substr(0, slash));
  Network network;
  network.address.v6 = digits.find(':') != std::string::npos;
  // Not parse_address(): a link-local network has no interface.
  if (digits.find('\0') != std::string::npos ||
      inet_pton(network.address.v6 ? AF_INET6 : AF_INET, digits.c_str(), network.address.bytes.data()) != 1)
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 80)),
                "is no network (such as 10.0.0.0/8)");
  const unsigned most = network.address.v6 ? 128 : 32;
  network.bits = most;
  if (slash == std::string_view::npos) return network;
  const auto bits = parse_count(text.substr(slash + 1), 0, most);
  if (!bits)
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 80)),
                fmt::format("is no network: behind the / is a number from 0 to {}", most));
  network.bits = static_cast<unsigned>(*bits);
  return network;
}

Result<std::vector<Address>> resolve(const std::string& host, Family family) {
  addrinfo hints{};
  hints.ai_family = family == Family::v4 ? AF_INET : family == Family::v6 ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code == EAI_SYSTEM) return fail_errno(host, "cannot look up the name");
  if (code != 0)
    return fail(Outcome::no, host, fmt::format("cannot look up the name: {}", gai_strerror(code)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<Address> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    const Address address = from_sockaddr(*entry->ai_addr);
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(address);
  }
  return addresses;
}

bool is_local(const Address& given) {
  const Address address = given.unmapped();
  if (address.is_any() || address.is_loopback()) return true;
  if (const auto routed = routed_here(address)) return *routed;
  const Fd probe(socket(address.v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress name({address, 0});
  return probe && bind(probe.get(), name.get(), name.length) == 0;
}

} // namespace safe_deploy
