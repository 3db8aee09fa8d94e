#include "sockets.hpp"

#include "catch.hpp"
#include "net.hpp"
#include "scratch.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

using namespace safe_deploy;
using namespace safe_deploy::test;

namespace {

std::optional<Socket> receiver(const Address& address, std::uint16_t port,
                               Protocol protocol = Protocol::tcp) {
  Sockets sockets;
  auto found = sockets.receiver(protocol, {address, port});
  if (!found) throw std::runtime_error(found.error().text());
  return *found;
}

std::vector<Socket> on_port(std::uint16_t port, States states, Protocol protocol = Protocol::tcp) {
  Sockets sockets;
  auto found = sockets.on_port(protocol, port, states);
  if (!found) throw std::runtime_error(found.error().text());
  return *found;
}

std::uint64_t inode_of(const Fd& socket) {
  struct stat status {};
  if (fstat(socket.get(), &status) != 0) throw std::runtime_error("fstat");
  return status.st_ino;
}

// Both loopback addresses, in the order v4, v6: who would answer there.
std::pair<bool, bool> answered(std::uint16_t port, Protocol protocol = Protocol::tcp) {
  return {receiver(Address::v4_loopback(), port, protocol).has_value(),
          receiver(Address::v6_loopback(), port, protocol).has_value()};
}

} // namespace

TEST_CASE("the listener that would answer is found") {
  const Fd v4 = listen_socket(Address::v4_loopback());
  const auto found = receiver(Address::v4_loopback(), port_of(v4));
  REQUIRE(found);
  CHECK(found->inode == inode_of(v4));
  CHECK(found->state == SocketState::listen);
  CHECK(found->uid == geteuid());
  CHECK(found->local == Endpoint{Address::v4_loopback(), port_of(v4)});
  CHECK(answered(port_of(v4)) == std::pair(true, false));
}

TEST_CASE("a wildcard listener answers at every address of its families") {
  const Fd v4 = listen_socket(Address::v4_any());
  CHECK(answered(port_of(v4)) == std::pair(true, false));
  const Fd both = listen_socket(Address::v6_any());
  CHECK(answered(port_of(both)) == std::pair(true, true));
  CHECK(receiver(Address::v4_loopback(), port_of(both))->v6_only == false);
  const Fd only = listen_socket(Address::v6_any(), {.v6_only = true});
  CHECK(answered(port_of(only)) == std::pair(false, true));
  CHECK(receiver(Address::v6_loopback(), port_of(only))->v6_only == true);
}

TEST_CASE("a listener at another address does not answer") {
  const Fd other = listen_socket(*parse_address("127.0.0.2"));
  CHECK(answered(port_of(other)) == std::pair(false, false));
  CHECK(receiver(*parse_address("127.0.0.2"), port_of(other)));
  CHECK(on_port(port_of(other), listening_states).size() == 1);
}

TEST_CASE("a socket that is only bound, or connected, is no listener") {
  const Fd bound = bind_socket(Address::v4_loopback());
  CHECK_FALSE(receiver(Address::v4_loopback(), port_of(bound)));
  Fd listener = listen_socket(Address::v4_loopback());
  const std::uint16_t port = port_of(listener);
  const Fd client = connect_to({Address::v4_loopback(), port});
  const Fd accepted = accept_from(listener);
  listener.reset();
  CHECK_FALSE(receiver(Address::v4_loopback(), port));
  CHECK_FALSE(receiver(Address::v4_loopback(), port_of(client)));
}

TEST_CASE("one of a group that shares the port is found") {
  const Fd one = listen_socket(Address::v4_loopback(), {.reuse_port = true});
  const Fd two = listen_socket(Address::v4_loopback(), {.port = port_of(one), .reuse_port = true});
  REQUIRE(two);
  CHECK(receiver(Address::v4_loopback(), port_of(one)));
  CHECK(on_port(port_of(one), listening_states).size() == 2);
}

TEST_CASE("a listener bound to the loopback interface answers there") {
  if (!is_root()) return;
  const Fd lo = listen_socket(Address::v4_any(), {.device = "lo"});
  CHECK(receiver(Address::v4_loopback(), port_of(lo)));
}

TEST_CASE("a listener of another network namespace does not count") {
  if (!is_root()) return;
  const Fd here = listen_socket(Address::v4_loopback());
  const std::uint16_t port = port_of(here);
  CHECK(in_child([port] {
    enter_new_network();
    Sockets sockets;
    const auto found = sockets.receiver(Protocol::tcp, {Address::v4_loopback(), port});
    const auto all = sockets.on_port(Protocol::tcp, port, all_states);
    return found && !*found && all && all->empty();
  }));
}

TEST_CASE("without a port the listeners of all ports are told, also by /proc/net") {
  CHECK(in_child([] {
    std::vector<Fd> listeners;
    listeners.push_back(listen_socket(Address::v4_loopback()));
    listeners.push_back(listen_socket(Address::v6_any()));
    const Fd bound = bind_socket(Address::v4_loopback());
    const auto tells_them = [&](Sockets& sockets) {
      const auto all = sockets.on_port(Protocol::tcp, 0, listening_states);
      const auto has = [&](const Fd& listener) {
        return std::any_of(all->begin(), all->end(),
                           [&](const Socket& socket) { return socket.local.port == port_of(listener); });
      };
      return all && has(listeners[0]) && has(listeners[1]) && !has(bound);
    };
    Sockets with;
    const bool told = tells_them(with);
    forbid_netlink();
    Sockets without;
    return told && tells_them(without);
  }));
}

TEST_CASE("UDP sockets are found at the addresses that they receive on") {
  const Fd v4 = bind_socket(Address::v4_loopback(), {.protocol = Protocol::udp});
  CHECK(answered(port_of(v4), Protocol::udp) == std::pair(true, false));
  CHECK(receiver(Address::v4_loopback(), port_of(v4), Protocol::udp)->inode == inode_of(v4));
  const Fd both = bind_socket(Address::v6_any(), {.protocol = Protocol::udp});
  CHECK(answered(port_of(both), Protocol::udp) == std::pair(true, true));
  CHECK_FALSE(receiver(Address::v4_loopback(), port_of(v4), Protocol::tcp));
}

TEST_CASE("all sockets of a port are told with their states") {
  Fd listener = listen_socket(Address::v4_loopback());
  const std::uint16_t port = port_of(listener);
  Fd client = connect_to({Address::v4_loopback(), port});
  Fd accepted = accept_from(listener);
  auto all = on_port(port, all_states);
  CHECK(all.size() == 2);
  const auto established = on_port(port, state_bit(SocketState::established));
  REQUIRE(established.size() == 1);
  CHECK(established[0].peer == Endpoint{Address::v4_loopback(), port_of(client)});

  accepted.reset(); // closes first: the TIME_WAIT is on this port
  await_end(client);
  client.reset();
  const auto ended = on_port(port, state_bit(SocketState::time_wait));
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].inode == 0);
  CHECK(ended[0].time_left > std::chrono::seconds(30));
  CHECK(ended[0].time_left <= std::chrono::seconds(60));
}

TEST_CASE("/proc/net tells the same where sock_diag is forbidden") {
  CHECK(in_child([] {
    std::vector<Fd> listeners;
    listeners.push_back(listen_socket(Address::v4_loopback()));
    listeners.push_back(listen_socket(Address::v4_any()));
    listeners.push_back(listen_socket(Address::v6_loopback()));
    listeners.push_back(listen_socket(Address::v6_any()));
    listeners.push_back(listen_socket(Address::v6_any(), {.v6_only = true}));
    listeners.push_back(listen_socket(*parse_address("127.0.0.2")));
    listeners.push_back(bind_socket(Address::v4_loopback()));
    Sockets with;
    Sockets without;
    std::vector<std::optional<std::uint64_t>> expected;
    const auto ask = [&](Sockets& sockets, const Fd& listener, bool v6) -> std::optional<std::uint64_t> {
      const auto found = sockets.receiver(Protocol::tcp, {Address::loopback(v6), port_of(listener)});
      if (!found) throw std::runtime_error(found.error().text());
      if (!*found) return std::nullopt;
      return (*found)->inode;
    };
    for (const auto& listener : listeners)
      for (const bool v6 : {false, true}) expected.push_back(ask(with, listener, v6));
    const auto before = with.on_port(Protocol::tcp, port_of(listeners[3]), listening_states);
    forbid_netlink();
    std::vector<std::optional<std::uint64_t>> got;
    for (const auto& listener : listeners)
      for (const bool v6 : {false, true}) got.push_back(ask(without, listener, v6));
    const auto after = without.on_port(Protocol::tcp, port_of(listeners[3]), listening_states);
    return got == expected && with.limitation().empty() &&
           without.limitation().find("/proc/net") != std::string::npos && before && after &&
           before->size() == after->size();
  }));
}

TEST_CASE("without sock_diag, ended connections are told, too") {
  CHECK(in_child([] {
    Fd listener = listen_socket(Address::v4_loopback());
    const std::uint16_t port = port_of(listener);
    Fd client = connect_to({Address::v4_loopback(), port});
    accept_from(listener).reset();
    await_end(client);
    client.reset();
    forbid_netlink();
    const auto ended = on_port(port, state_bit(SocketState::time_wait));
    return ended.size() == 1 && ended[0].time_left > std::chrono::seconds(30) &&
           on_port(port, listening_states).size() == 1;
  }));
}

TEST_CASE("unix sockets are told with name, state and file") {
  const Scratch scratch;
  const std::string path = scratch / "s";
  const std::string abstract = "safe-deploy-test-" + std::to_string(getpid());
  const Fd file(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress file_name = SocketAddress::unix_path(path);
  REQUIRE(bind(file.get(), file_name.get(), file_name.length) == 0);
  REQUIRE(listen(file.get(), 1) == 0);
  const Fd hidden(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress hidden_name = SocketAddress::unix_abstract(abstract);
  REQUIRE(bind(hidden.get(), hidden_name.get(), hidden_name.length) == 0);
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);

  const auto look = [&](bool diag) {
    Sockets sockets;
    const auto all = sockets.unix_sockets(listening_states | state_bit(SocketState::close));
    if (!all) return false;
    const auto find = [&](const std::string& name) {
      return std::find_if(all->begin(), all->end(), [&](const UnixSocket& one) { return one.name == name; });
    };
    const auto listening = find(path);
    const auto datagram = find(std::string(1, '\0') + abstract);
    return listening != all->end() && listening->state == SocketState::listen &&
           listening->type == SOCK_STREAM && listening->inode == inode_of(file) &&
           (!diag || listening->file_inode == status.st_ino) && datagram != all->end() &&
           datagram->type == SOCK_DGRAM && datagram->state == SocketState::close;
  };
  CHECK(look(true));
  CHECK(in_child([&] {
    forbid_netlink();
    return look(false);
  }));
}

TEST_CASE("the end of a port's sockets is told, and of no other's") {
  Fd listener = listen_socket(Address::v4_loopback());
  Fd other = listen_socket(Address::v4_loopback());
  Fd v6 = listen_socket(Address::v6_loopback(), {.port = port_of(listener)});
  auto events = DestroyEvents::subscribe(Protocol::tcp, port_of(listener));
  REQUIRE(events);
  other.reset();
  listener.reset();
  REQUIRE(is_readable(events->fd(), 2000));
  events->drain();
  CHECK_FALSE(is_readable(events->fd()));
  v6.reset();
  CHECK(is_readable(events->fd(), 2000));
}

TEST_CASE("the port is free again when its end is told") {
  for (int i = 0; i < 50; ++i) {
    Fd listener = listen_socket(Address::v4_loopback());
    const Endpoint endpoint{Address::v4_loopback(), port_of(listener)};
    auto events = DestroyEvents::subscribe(Protocol::tcp, endpoint.port);
    REQUIRE(events);
    listener.reset();
    REQUIRE(is_readable(events->fd(), 2000));
    CHECK(try_bind(Protocol::tcp, endpoint, false, false) == Bindable::yes);
  }
}

TEST_CASE("the end of UDP sockets is told") {
  Fd socket = bind_socket(Address::v6_any(), {.protocol = Protocol::udp});
  auto events = DestroyEvents::subscribe(Protocol::udp, port_of(socket));
  REQUIRE(events);
  socket.reset();
  CHECK(is_readable(events->fd(), 2000));
}

TEST_CASE("an unprivileged process is told, too") {
  if (!is_root()) return;
  CHECK(in_child([] {
    Fd listener = listen_socket(Address::v4_loopback());
    if (setuid(65534) != 0) return false;
    auto events = DestroyEvents::subscribe(Protocol::tcp, port_of(listener));
    listener.reset();
    return events && is_readable(events->fd(), 2000);
  }));
}

TEST_CASE("lost events are an event") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const Endpoint endpoint{Address::v4_loopback(), port_of(listener)};
  auto events = DestroyEvents::subscribe(Protocol::tcp, endpoint.port);
  REQUIRE(events);
  const int small = 1; // the kernel makes it its least
  REQUIRE(setsockopt(events->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  std::vector<Fd> connections;
  for (int i = 0; i < 100; ++i) {
    connections.push_back(connect_to(endpoint));
    connections.push_back(accept_from(listener));
  }
  connections.clear();
  pollfd lost{events->fd(), 0, 0}; // POLLERR is always told
  REQUIRE(poll(&lost, 1, 2000) == 1);
  REQUIRE((lost.revents & POLLERR) != 0);
  events->drain();
  Fd last = connect_to(endpoint);
  Fd accepted = accept_from(listener);
  accepted.reset();
  last.reset();
  CHECK(is_readable(events->fd(), 2000));
}

TEST_CASE("subscriptions have a limit") {
  Sockets sockets;
  std::vector<DestroyEvents> events;
  for (std::uint16_t port = 1; port <= 256; ++port) {
    auto one = sockets.subscribe(Protocol::tcp, port);
    REQUIRE(one);
    events.push_back(std::move(*one));
  }
  CHECK_FALSE(sockets.subscribe(Protocol::tcp, 1000));
}

TEST_CASE("what a server could bind to") {
  const Fd held = listen_socket(Address::v4_loopback());
  const Endpoint endpoint{Address::v4_loopback(), port_of(held)};
  CHECK(try_bind(Protocol::tcp, endpoint, true, false) == Bindable::in_use);
  CHECK(try_bind(Protocol::tcp, {Address::v6_any(), endpoint.port}, true, false) == Bindable::in_use);
  CHECK(try_bind(Protocol::tcp, {Address::v6_any(), endpoint.port}, true, true) == Bindable::yes);
  CHECK(try_bind(Protocol::udp, endpoint, false, false) == Bindable::yes);
  CHECK(try_bind(Protocol::tcp, {*parse_address("192.0.2.1"), endpoint.port}, true, false) ==
        Bindable::not_local);
}

TEST_CASE("a low port is not permitted to everybody") {
  if (!is_root()) return;
  CHECK(in_child([] {
    enter_new_network();
    if (setuid(65534) != 0) return false;
    const auto bindable = try_bind(Protocol::tcp, {Address::v4_loopback(), 80}, true, false);
    return bindable && *bindable == Bindable::not_permitted;
  }));
}

TEST_CASE("an answer that is cut short or wrong gives nothing, or what there is") {
  std::array<std::byte, sizeof(inet_diag_msg) + 8> bytes{};
  inet_diag_msg message{};
  message.idiag_family = AF_INET;
  message.idiag_state = 10;
  std::memcpy(bytes.data(), &message, sizeof message);
  nlattr attribute{100, INET_DIAG_CGROUP_ID}; // longer than what follows
  std::memcpy(bytes.data() + sizeof message, &attribute, sizeof attribute);
  const auto socket = read_inet_diag(bytes, Protocol::tcp);
  REQUIRE(socket);
  CHECK(socket->cgroup == 0);
  for (std::size_t size = 0; size < sizeof message; ++size)
    CHECK_FALSE(read_inet_diag(Bytes(bytes).first(size), Protocol::tcp));
  message.idiag_family = AF_UNIX;
  std::memcpy(bytes.data(), &message, sizeof message);
  CHECK_FALSE(read_inet_diag(bytes, Protocol::tcp));
  CHECK_FALSE(read_unix_diag({}));
}

TEST_CASE("lines of /proc/net are read") {
  const auto v4 = read_proc_line(
      "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0",
      Protocol::tcp, false);
  REQUIRE(v4);
  CHECK(v4->local == Endpoint{Address::v4_loopback(), 9000});
  CHECK(v4->state == SocketState::listen);
  CHECK(v4->uid == 1000);
  CHECK(v4->inode == 12345);
  const auto ended = read_proc_line(
      "   3: 0100007F:2328 0100007F:D431 06 00000000:00000000 03:0000164E 00000000     0        0 0 3 0",
      Protocol::tcp, false);
  REQUIRE(ended);
  CHECK(ended->state == SocketState::time_wait);
  CHECK(ended->time_left == std::chrono::milliseconds(57100));
  for (const char* line : {"", "x", "0: 0100007F:2328", "0: 0100007G:2328 00000000:0000 0A 0:0 0:0 0 0 0 1",
                           "0: 0100007F:2328 00000000:0000 FF 0:0 00:0 0 0 0 1"})
    CHECK_FALSE(read_proc_line(line, Protocol::tcp, false));
  const auto unix_socket =
      read_proc_unix_line("0000000000000000: 00000002 00000000 00010000 0001 01 4711 @abstract name");
  REQUIRE(unix_socket);
  CHECK(unix_socket->name == std::string("\0abstract name", 14));
  CHECK(unix_socket->state == SocketState::listen);
  CHECK_FALSE(read_proc_unix_line("nonsense"));
}
