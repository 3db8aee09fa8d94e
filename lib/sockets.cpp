#include "sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <functional>

namespace safe_deploy {

namespace {

// Packets that a machine sends to itself come in by the loopback interface, which has this index in every
// network namespace (LOOPBACK_IFINDEX, include/net/net_namespace.h): a socket bound to another interface does
// not get them.
constexpr std::uint32_t loopback_interface = 1;

int protocol_number(Protocol protocol) {
  return protocol == Protocol::tcp ? IPPROTO_TCP : IPPROTO_UDP;
}

Address read_address(const __be32 (&words)[4], bool v6) {
  Address address{.v6 = v6};
  std::memcpy(address.bytes.data(), words, v6 ? 16 : 4);
  return address;
}

Endpoint read_endpoint(const __be32 (&words)[4], __be16 port, bool v6) {
  return {read_address(words, v6), ntohs(port)};
}

struct InetRequest {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};

InetRequest inet_request(Protocol protocol, bool v6, std::uint16_t flags) {
  InetRequest request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  request.body.sdiag_family = v6 ? AF_INET6 : AF_INET;
  request.body.sdiag_protocol = static_cast<__u8>(protocol_number(protocol));
  return request;
}

Bytes bytes_of(const InetRequest& request) {
  return std::as_bytes(std::span(&request, 1));
}

InetRequest receiver_request(Protocol protocol, const Endpoint& endpoint) {
  const Address& address = endpoint.address;
  InetRequest request = inet_request(protocol, address.v6, 0);
  inet_diag_sockid& id = request.body.id;
  id.idiag_if = address.scope != 0 ? address.scope : loopback_interface;
  std::fill_n(id.idiag_cookie, 2, static_cast<__u32>(INET_DIAG_NOCOOKIE));
  // The kernel looks up as if a packet came in. For UDP it takes the two ends the other way round than for
  // TCP
  // ("swapped for historical reasons", net/ipv4/udp_diag.c).
  auto& words = protocol == Protocol::tcp ? id.idiag_src : id.idiag_dst;
  (protocol == Protocol::tcp ? id.idiag_sport : id.idiag_dport) = htons(endpoint.port);
  std::memcpy(words, address.bytes.data(), address.v6 ? 16 : 4);
  return request;
}

// --- /proc/net

template <class Number>
bool read_number(std::string_view text, Number& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

// "0100007F:2328": words of the address as the machine's own numbers, in hexadecimal.
std::optional<Endpoint> read_proc_endpoint(std::string_view text, bool v6) {
  const std::size_t digits = v6 ? 32 : 8;
  Endpoint endpoint{{.v6 = v6}};
  if (text.size() != digits + 5 || text[digits] != ':') return std::nullopt;
  for (std::size_t i = 0; i < digits; i += 8) {
    std::uint32_t word = 0;
    if (!read_number(text.substr(i, 8), word, 16)) return std::nullopt;
    std::memcpy(endpoint.address.bytes.data() + i / 2, &word, sizeof word);
  }
  if (!read_number(text.substr(digits + 1), endpoint.port, 16)) return std::nullopt;
  return endpoint;
}

// Hands each line behind the heading to `take`, until that returns false.
Result<void> read_lines(const char* path, const std::function<bool(std::string_view)>& take) {
  const Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(path, "cannot open");
  std::string buffer;
  bool heading = true;
  for (;;) {
    const std::size_t kept = buffer.size();
    buffer.resize(kept + 65536);
    const ssize_t got = read(file.get(), buffer.data() + kept, buffer.size() - kept);
    buffer.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(path, "cannot read");
    if (got == 0) return {};
    std::string_view rest = buffer;
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      if (!std::exchange(heading, false) && !take(rest.substr(0, end))) return {};
      rest.remove_prefix(end + 1);
    }
    buffer.erase(0, buffer.size() - rest.size());
  }
}

const char* proc_file(Protocol protocol, bool v6) {
  if (protocol == Protocol::tcp) return v6 ? "/proc/net/tcp6" : "/proc/net/tcp";
  return v6 ? "/proc/net/udp6" : "/proc/net/udp";
}

Result<std::vector<Socket>> read_proc(Protocol protocol, std::uint16_t port, States states) {
  std::vector<Socket> sockets;
  for (const bool v6 : {false, true}) {
    const char* path = proc_file(protocol, v6);
    auto read = read_lines(path, [&](std::string_view line) {
      auto socket = read_proc_line(line, protocol, v6);
      if (!socket) return true;
      // The listening sockets come first (net/ipv4/tcp_ipv4.c): what follows can be very long.
      if (states == listening_states && socket->state != SocketState::listen) return false;
      if ((port == 0 || socket->local.port == port) && (states & state_bit(socket->state)) != 0)
        sockets.push_back(*std::move(socket));
      return true;
    });
    const bool no_ipv6 = !read && v6 && read.error().code == std::errc::no_such_file_or_directory;
    if (!read && !no_ipv6) return forward_error(read);
  }
  return sockets;
}

// How well a socket fits a packet to `address`, as the kernel's compute_score() has it; 0: not at all.
int fitness(const Socket& socket, const Endpoint& to) {
  const Address bound = socket.local.address.unmapped();
  const Address address = to.address.unmapped();
  if (bound.v6 == address.v6 && bound.bytes == address.bytes) return 3;
  if (bound.is_any() && bound.v6 == address.v6) return 2;
  if (!bound.is_any() || !bound.v6 || address.v6) return 0;
  // /proc does not tell whether it takes IPv4, too; but then an IPv4 server could not bind.
  const auto bindable = try_bind(socket.protocol, to, true, false);
  return bindable && *bindable == Bindable::yes ? 0 : 1;
}

Result<std::optional<Socket>> proc_receiver(Protocol protocol, const Endpoint& endpoint) {
  const States states = protocol == Protocol::tcp ? listening_states : state_bit(SocketState::close);
  auto sockets = read_proc(protocol, endpoint.port, states);
  if (!sockets) return forward_error(sockets);
  std::optional<Socket> best;
  int best_fitness = 0;
  for (auto& socket : *sockets) {
    const int fits = fitness(socket, endpoint);
    if (fits <= best_fitness) continue;
    best_fitness = fits;
    best = std::move(socket);
  }
  return best;
}

std::error_code code_of(int error_number) {
  return {error_number, std::system_category()};
}

} // namespace

std::string_view state_name(SocketState state) {
  switch (state) {
    case SocketState::established:
      return "ESTABLISHED";
    case SocketState::syn_sent:
      return "SYN_SENT";
    case SocketState::syn_received:
    case SocketState::new_syn_received:
      return "SYN_RECV";
    case SocketState::fin_wait1:
      return "FIN_WAIT1";
    case SocketState::fin_wait2:
      return "FIN_WAIT2";
    case SocketState::time_wait:
      return "TIME_WAIT";
    case SocketState::close:
      return "CLOSE";
    case SocketState::close_wait:
      return "CLOSE_WAIT";
    case SocketState::last_ack:
      return "LAST_ACK";
    case SocketState::listen:
      return "LISTEN";
    case SocketState::closing:
      return "CLOSING";
    case SocketState::bound:
      return "BOUND";
  }
  return "UNKNOWN";
}

// --- reading

std::optional<Socket> read_inet_diag(Bytes payload, Protocol protocol) {
  const auto message = read_struct<inet_diag_msg>(payload);
  if (!message || (message->idiag_family != AF_INET && message->idiag_family != AF_INET6))
    return std::nullopt;
  if (message->idiag_state < 1 || message->idiag_state > 31) return std::nullopt;
  const bool v6 = message->idiag_family == AF_INET6;
  const inet_diag_sockid& id = message->id;
  Socket socket{.protocol = protocol,
                .state = static_cast<SocketState>(message->idiag_state),
                .local = read_endpoint(id.idiag_src, id.idiag_sport, v6),
                .peer = read_endpoint(id.idiag_dst, id.idiag_dport, v6)};
  // A TCP socket in the tables that is closed is a bound one, whatever state was asked for.
  if (protocol == Protocol::tcp && socket.state == SocketState::close) socket.state = SocketState::bound;
  socket.interface = id.idiag_if;
  socket.uid = message->idiag_uid;
  socket.inode = message->idiag_inode;
  // inet_twsk_diag_fill() of net/ipv4/inet_diag.c: the milliseconds that are left.
  if (socket.state == SocketState::time_wait)
    socket.time_left = std::chrono::milliseconds(message->idiag_expires);
  Bytes rest = payload.subspan(std::min<std::size_t>(NLMSG_ALIGN(sizeof *message), payload.size()));
  while (const auto attribute = next_attribute(rest)) {
    if (attribute->type == INET_DIAG_SKV6ONLY) {
      if (const auto only = read_struct<std::uint8_t>(attribute->payload)) socket.v6_only = *only != 0;
    } else if (attribute->type == INET_DIAG_CGROUP_ID) {
      if (const auto id_number = read_struct<std::uint64_t>(attribute->payload)) socket.cgroup = *id_number;
    }
  }
  return socket;
}

std::optional<UnixSocket> read_unix_diag(Bytes payload) {
  const auto message = read_struct<unix_diag_msg>(payload);
  if (!message || message->udiag_family != AF_UNIX) return std::nullopt;
  UnixSocket socket{.type = message->udiag_type,
                    .state = static_cast<SocketState>(message->udiag_state),
                    .name = {},
                    .inode = message->udiag_ino,
                    .uid = 0,
                    .file_inode = {},
                    .file_device = 0};
  Bytes rest = payload.subspan(std::min<std::size_t>(NLMSG_ALIGN(sizeof *message), payload.size()));
  while (const auto attribute = next_attribute(rest)) {
    if (attribute->type == UNIX_DIAG_NAME) {
      socket.name.assign(reinterpret_cast<const char*>(attribute->payload.data()), attribute->payload.size());
      // A path may or may not come with the NUL that ends it.
      if (!socket.name.starts_with('\0')) socket.name.resize(std::strlen(socket.name.c_str()));
    } else if (attribute->type == UNIX_DIAG_VFS) {
      if (const auto file = read_struct<unix_diag_vfs>(attribute->payload)) {
        socket.file_inode = file->udiag_vfs_ino;
        // MKDEV() of include/linux/kdev_t.h
        socket.file_device = makedev(file->udiag_vfs_dev >> 20U, file->udiag_vfs_dev & 0xfffffU);
      }
    } else if (attribute->type == UNIX_DIAG_UID) {
      if (const auto uid = read_struct<std::uint32_t>(attribute->payload)) socket.uid = *uid;
    }
  }
  return socket;
}

// "sl local remote st tx:rx tr:when retransmits uid timeout inode ...", proc(5)
std::optional<Socket> read_proc_line(std::string_view line, Protocol protocol, bool v6) {
  (void)take_word(line);
  const auto local = read_proc_endpoint(take_word(line), v6);
  const auto peer = read_proc_endpoint(take_word(line), v6);
  unsigned state = 0;
  if (!local || !peer || !read_number(take_word(line), state, 16) || state < 1 || state > 13)
    return std::nullopt;
  Socket socket{
      .protocol = protocol, .state = static_cast<SocketState>(state), .local = *local, .peer = *peer};
  (void)take_word(line);
  const std::string_view timer = take_word(line);
  std::uint64_t ticks = 0; // of 10 ms (USER_HZ)
  if (socket.state == SocketState::time_wait && timer.size() > 3 && read_number(timer.substr(3), ticks, 16))
    socket.time_left = std::chrono::milliseconds(std::min<std::uint64_t>(ticks, UINT32_MAX) * 10);
  (void)take_word(line);
  if (!read_number(take_word(line), socket.uid, 10)) return std::nullopt;
  (void)take_word(line);
  if (!read_number(take_word(line), socket.inode, 10)) return std::nullopt;
  return socket;
}

// "Num RefCount Protocol Flags Type St Inode Path", proc(5)
std::optional<UnixSocket> read_proc_unix_line(std::string_view line) {
  for (int i = 0; i < 3; ++i) (void)take_word(line);
  unsigned flags = 0;
  unsigned type = 0;
  UnixSocket socket;
  if (!read_number(take_word(line), flags, 16) || !read_number(take_word(line), type, 16))
    return std::nullopt;
  socket.type = static_cast<int>(type & 0xffU);
  const std::string_view connection = take_word(line); // 03: connected
  if (!read_number(take_word(line), socket.inode, 10)) return std::nullopt;
  constexpr unsigned accepts = 1U << 16U; // __SO_ACCEPTCON
  socket.state = (flags & accepts) != 0 ? SocketState::listen
                 : connection == "03"   ? SocketState::established
                                        : SocketState::close;
  if (!line.empty()) line.remove_prefix(1);
  socket.name = line;
  if (socket.name.starts_with('@')) socket.name.front() = '\0';
  return socket;
}

// --- asking

Result<void> Sockets::open() {
  if (netlink_) return {};
  auto opened = Netlink::open(NETLINK_SOCK_DIAG);
  if (!opened) return forward_error(opened);
  netlink_ = std::move(*opened);
  return {};
}

Result<void> Sockets::dump(Bytes request, const std::function<void(const NetlinkMessage&)>& take) {
  if (auto opened = open(); !opened) return opened;
  return netlink_->dump(request, take);
}

// ENOENT is the answer both when there is no such socket and when the kernel has no module to look for it;
// a dump of no state at all tells the two apart.
Result<bool> Sockets::knows(Protocol protocol) {
  const InetRequest request = inet_request(protocol, false, NLM_F_DUMP);
  auto asked = dump(bytes_of(request), [](const NetlinkMessage&) {});
  if (asked) return true;
  if (asked.error().code == code_of(ENOENT)) return false;
  return forward_error(asked);
}

void Sockets::fall_back(Source& source, const Error& why) {
  source = Source::proc;
  limitation_ = fmt::format("sock_diag: {}; reading /proc/net instead", why.code.message());
}

Result<void> Sockets::ask_receivers(Protocol protocol, std::span<const Address> addresses,
                                    std::uint16_t port) {
  if (auto opened = open(); !opened) return opened;
  std::array<InetRequest, Netlink::most_requests> requests;
  const std::size_t count = std::min(addresses.size(), requests.size());
  for (std::size_t i = 0; i < count; ++i) requests[i] = receiver_request(protocol, {addresses[i], port});
  int refused = 0;
  const auto take = [&](int error_number, const NetlinkMessage& message) {
    found_.push_back(error_number == 0 ? read_inet_diag(message.payload, protocol) : std::nullopt);
    if (error_number != 0 && error_number != ENOENT) refused = error_number;
  };
  auto asked = netlink_->ask(std::as_bytes(std::span(requests).first(count)), count, take);
  if (asked && refused != 0) return fail_errno("netlink", "the kernel refused", refused);
  return asked;
}

Result<Sockets::Receivers> Sockets::receivers(Protocol protocol, std::span<const Address> addresses,
                                              std::uint16_t port) {
  found_.clear();
  if (source(protocol) != Source::proc) {
    auto asked = ask_receivers(protocol, addresses, port);
    const auto is_there = [](const std::optional<Socket>& socket) { return socket.has_value(); };
    if (asked && source(protocol) == Source::untried &&
        std::none_of(found_.begin(), found_.end(), is_there)) {
      const auto known = knows(protocol);
      if (!known) asked = tl::unexpected<Error>(known.error());
      if (known && !*known) asked = fail_errno("netlink", "no such table", ENOENT);
    }
    if (asked) {
      source(protocol) = Source::sock_diag;
      return Receivers(found_);
    }
    fall_back(source(protocol), asked.error());
    found_.clear();
  }
  for (const Address& address : addresses) {
    auto one = proc_receiver(protocol, {address, port});
    if (!one) return forward_error(one);
    found_.push_back(std::move(*one));
  }
  return Receivers(found_);
}

Result<std::optional<Socket>> Sockets::receiver(Protocol protocol, const Endpoint& endpoint) {
  auto found = receivers(protocol, std::span(&endpoint.address, 1), endpoint.port);
  if (!found) return forward_error(found);
  return found->front();
}

Result<std::vector<Socket>> Sockets::on_port(Protocol protocol, std::uint16_t port, States states) {
  std::vector<Socket> sockets;
  for (const bool v6 : {false, true}) {
    if (source(protocol) == Source::proc) break;
    InetRequest request = inet_request(protocol, v6, NLM_F_DUMP);
    request.body.idiag_states = states;
    request.body.id.idiag_sport = htons(port);
    auto asked = dump(bytes_of(request), [&](const NetlinkMessage& message) {
      if (auto socket = read_inet_diag(message.payload, protocol)) sockets.push_back(*std::move(socket));
    });
    if (!asked) fall_back(source(protocol), asked.error());
  }
  if (source(protocol) == Source::proc) return read_proc(protocol, port, states);
  source(protocol) = Source::sock_diag;
  return sockets;
}

Result<std::vector<UnixSocket>> Sockets::unix_sockets(States states) {
  std::vector<UnixSocket> sockets;
  struct {
    nlmsghdr header{};
    unix_diag_req body{};
  } request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = AF_UNIX;
  request.body.udiag_states = states;
  request.body.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_UID;
  if (unix_source_ != Source::proc) {
    auto asked = dump(std::as_bytes(std::span(&request, 1)), [&](const NetlinkMessage& message) {
      if (auto socket = read_unix_diag(message.payload)) sockets.push_back(*std::move(socket));
    });
    if (asked) return sockets;
    fall_back(unix_source_, asked.error());
    sockets.clear();
  }
  auto read = read_lines("/proc/net/unix", [&](std::string_view line) {
    auto socket = read_proc_unix_line(line);
    if (socket && (states & state_bit(socket->state)) != 0) sockets.push_back(*std::move(socket));
    return true;
  });
  if (!read) return forward_error(read);
  return sockets;
}

// --- events

Result<DestroyEvents> Sockets::subscribe(Protocol protocol, std::uint16_t port) {
  constexpr unsigned most = 256;
  if (subscriptions_ == most)
    return fail(Outcome::no, "netlink", fmt::format("events are subscribed to for {} ports only", most));
  auto events = DestroyEvents::subscribe(protocol, port);
  if (events) ++subscriptions_;
  return events;
}

Result<DestroyEvents> DestroyEvents::subscribe(Protocol protocol, std::uint16_t port) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG));
  if (!socket) return fail_errno("netlink", "cannot open a socket");
  // On a busy machine thousands of connections end each second: only those of the port may wake us.
  constexpr std::uint32_t port_offset = NLMSG_HDRLEN + offsetof(inet_diag_msg, id.idiag_sport);
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, port_offset),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog filter{static_cast<unsigned short>(code.size()), code.data()};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
    return fail_errno("netlink", "cannot set a filter");
  // An IPv4 port may be held by an IPv6 socket, so both families matter always.
  const auto bit = [](unsigned group) { return 1U << (group - 1); };
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = protocol == Protocol::tcp
                         ? bit(SKNLGRP_INET_TCP_DESTROY) | bit(SKNLGRP_INET6_TCP_DESTROY)
                         : bit(SKNLGRP_INET_UDP_DESTROY) | bit(SKNLGRP_INET6_UDP_DESTROY);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0)
    return fail_errno("netlink", "cannot subscribe to the end of sockets");
  return DestroyEvents(std::move(socket));
}

bool DestroyEvents::drain() {
  std::array<std::byte, 512> event;
  bool any = false;
  // ENOBUFS says that events were lost; reading it clears it.
  while (recv(socket_.get(), event.data(), event.size(), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
         errno == EINTR)
    any = true;
  return any;
}

// --- binding

Result<Bindable> try_bind(Protocol protocol, const Endpoint& endpoint, bool reuse, bool v6_only) {
  const int type = protocol == Protocol::tcp ? SOCK_STREAM : SOCK_DGRAM;
  const int family = endpoint.address.v6 ? AF_INET6 : AF_INET;
  const Fd socket(::socket(family, type | SOCK_CLOEXEC, 0));
  if (!socket && errno == EAFNOSUPPORT) return Bindable::no_family;
  if (!socket && (errno == EPERM || errno == EACCES)) return Bindable::not_permitted;
  if (!socket) return fail_errno(endpoint.text(), "cannot open a socket");
  const int on = 1;
  const int only = v6_only ? 1 : 0;
  if (reuse && protocol == Protocol::tcp)
    (void)setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (endpoint.address.v6) (void)setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  const SocketAddress address(endpoint);
  if (bind(socket.get(), address.get(), address.length) == 0) return Bindable::yes;
  switch (errno) {
    case EADDRINUSE:
      return Bindable::in_use;
    case EADDRNOTAVAIL:
    case ENODEV:
      return Bindable::not_local;
    case EACCES:
    case EPERM:
      return Bindable::not_permitted;
    default:
      return fail_errno(endpoint.text(), "cannot bind");
  }
}

} // namespace safe_deploy
