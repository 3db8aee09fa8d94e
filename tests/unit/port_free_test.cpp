#include "catch.hpp"
#include "checks/port_check.hpp"
#include "checks/port_free_check.hpp"
#include "net.hpp"
#include "scratch.hpp"

#include <fcntl.h>

#include <functional>
#include <string>
#include <vector>

using namespace safe_deploy;
using namespace safe_deploy::test;

namespace {

std::shared_ptr<PortCheck> make(const std::string& target, PortQuestion question = {}) {
  auto parsed = parse_target(target);
  if (!parsed) throw std::runtime_error(parsed.error().text());
  question.target = std::move(*parsed);
  question.free = true;
  return make_port_check(std::move(question), std::make_shared<Sockets>());
}

Answer ask(const std::string& target, PortQuestion question = {}) {
  return make(target, std::move(question))->ask(Deadline::after(std::chrono::seconds(5)));
}

bool is_free(const std::string& target, PortQuestion question = {}) {
  return ask(target, std::move(question)).good();
}

std::string bare(std::uint16_t port) {
  return std::to_string(port);
}

std::string local(std::uint16_t port) {
  return "127.0.0.1:" + std::to_string(port);
}

// What a server would meet.
bool can_listen(std::uint16_t port, bool reuse, const Address& address = Address::v4_loopback()) {
  return static_cast<bool>(listen_socket(address, {.port = port, .reuse_address = reuse}));
}

// Ways to leave something on a port. Each gives the port and what must live on for it.
struct Left {
  std::uint16_t port = 0;
  std::vector<Fd> keep = {};
};

struct Scene {
  const char* name;
  std::function<Left(bool reuse)> make;
};

Left connected(bool reuse, bool close_listener) {
  Fd listener = listen_socket(Address::v4_loopback(), {.reuse_address = reuse});
  Left left{port_of(listener)};
  left.keep.push_back(connect_to({Address::v4_loopback(), left.port}));
  left.keep.push_back(accept_from(listener));
  if (!close_listener) left.keep.push_back(std::move(listener));
  return left;
}

const std::vector<Scene>& scenes() {
  static const std::vector<Scene> all{
      {"nothing", [](bool) { return Left{unused_port()}; }},
      {"bound",
       [](bool reuse) {
         Left left;
         left.keep.push_back(bind_socket(Address::v4_loopback(), {.reuse_address = reuse}));
         left.port = port_of(left.keep[0]);
         return left;
       }},
      {"listening",
       [](bool reuse) {
         Left left;
         left.keep.push_back(listen_socket(Address::v4_loopback(), {.reuse_address = reuse}));
         left.port = port_of(left.keep[0]);
         return left;
       }},
      {"established, the listener is gone", [](bool reuse) { return connected(reuse, true); }},
      {"established and listening", [](bool reuse) { return connected(reuse, false); }},
      {"the client closed first",
       [](bool reuse) {
         Left left = connected(reuse, true);
         left.keep[0].reset();
         await_end(left.keep[1]);
         return left;
       }},
      {"the server closed first",
       [](bool reuse) {
         Left left = connected(reuse, true);
         left.keep[1].reset();
         await_end(left.keep[0]);
         return left;
       }},
      {"TIME_WAIT",
       [](bool reuse) {
         Left left = connected(reuse, true);
         left.keep[1].reset();
         await_end(left.keep[0]);
         left.keep[0].reset();
         return left;
       }},
      {"somebody else's connection from there",
       [](bool) {
         Left left = connected(true, false);
         left.port = port_of(left.keep[0]);
         return left;
       }},
  };
  return all;
}

} // namespace

TEST_CASE("free means that a server can really bind, strictly so for one without SO_REUSEADDR") {
  for (const auto& scene : scenes()) {
    for (const bool reuse : {false, true}) {
      INFO(scene.name << (reuse ? ", with" : ", without") << " SO_REUSEADDR");
      const Left left = scene.make(reuse);
      CHECK(is_free(local(left.port)) == can_listen(left.port, true));
      CHECK(is_free(local(left.port), {.strict = true}) == can_listen(left.port, false));
      CHECK(is_free(bare(left.port)) == can_listen(left.port, true, Address::v6_any()));
      CHECK(is_free(bare(left.port), {.strict = true}) == can_listen(left.port, false, Address::v6_any()));
    }
  }
}

TEST_CASE("a port is free only at the address that is asked for") {
  const Fd other = listen_socket(*parse_address("127.0.0.2"));
  const std::uint16_t port = port_of(other);
  CHECK(is_free(local(port)));
  CHECK_FALSE(is_free("127.0.0.2:" + bare(port)));
  CHECK_FALSE(is_free(bare(port)));
  CHECK_FALSE(is_free("0.0.0.0:" + bare(port)));
  CHECK(is_free("localhost:" + bare(port)));
  CHECK(is_free(bare(port), {.family = Family::v6}));
  CHECK_FALSE(is_free(bare(port), {.family = Family::v4}));
}

TEST_CASE("whoever holds the port is named") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const auto check = make(local(port_of(listener)));
  const Answer answer = check->ask(Deadline::never());
  CHECK(answer.reason == "held");
  CHECK(answer.sentence == local(port_of(listener)) + " is held by unit-tests (pid " +
                               std::to_string(getpid()) + ", uid " + std::to_string(geteuid()) + ")");
  REQUIRE(check->holder());
  CHECK(check->holder()->state == "LISTEN");
  CHECK(check->holder()->holder.pid == getpid());
}

TEST_CASE("a listener elsewhere is named for a bare port") {
  const Fd other = listen_socket(*parse_address("127.0.0.2"));
  CHECK(ask(bare(port_of(other))).sentence.find(" is held by unit-tests (pid ") != std::string::npos);
}

TEST_CASE("a connection in the way is told with its state") {
  const Left left = connected(false, true);
  const std::string sentence = ask(local(left.port)).sentence;
  INFO(sentence);
  CHECK(sentence.find("unit-tests (pid ") != std::string::npos);
  CHECK(sentence.find(", ESTABLISHED with " + local(port_of(left.keep[0]))) != std::string::npos);
}

TEST_CASE("a socket that is only bound is told as such") {
  const Fd bound = bind_socket(Address::v4_loopback(), {.reuse_address = false});
  const std::string sentence = ask(local(port_of(bound))).sentence;
  INFO(sentence);
  // Before Linux 6.8 no table shows it.
  const bool told = sentence.find("which is bound to it but does not listen") != std::string::npos ||
                    sentence.find("by a socket that is neither listening nor connected") != std::string::npos;
  CHECK(told);
}

TEST_CASE("ended connections in the way are told with the time that is left") {
  const Left left = scenes()[7].make(true);
  const auto check = make(local(left.port), {.strict = true});
  const Answer answer = check->ask(Deadline::never());
  INFO(answer.sentence);
  CHECK(answer.sentence.find(local(left.port) + " is held by 1 ended connection (TIME_WAIT, at most ") == 0);
  CHECK(check->holder()->holder.pid == 0);
  CHECK(check->holder()->state == "TIME_WAIT");
}

TEST_CASE("the end of the holder wakes") {
  Fd listener = listen_socket(Address::v4_loopback());
  const auto check = make(bare(port_of(listener)));
  REQUIRE_FALSE(check->ask(Deadline::never()).good());
  REQUIRE(check->wake_fd() >= 0);
  CHECK_FALSE(is_readable(check->wake_fd()));
  listener.reset();
  REQUIRE(is_readable(check->wake_fd(), 2000));
  CHECK(check->ask(Deadline::never()).good());
}

TEST_CASE("the end of our own attempt to bind does not go round in circles") {
  Fd listener = listen_socket(Address::v4_loopback());
  const auto check = make(bare(port_of(listener)));
  REQUIRE_FALSE(check->ask(Deadline::never()).good());
  listener.reset();
  REQUIRE(is_readable(check->wake_fd(), 2000));
  REQUIRE(check->ask(Deadline::never()).good());
  REQUIRE(is_readable(check->wake_fd(), 2000)); // it was bound, and has ended
  REQUIRE(check->ask(Deadline::never()).good());
  CHECK_FALSE(is_readable(check->wake_fd(), 50));
}

TEST_CASE("a holder that closes before the first look wakes nobody in vain") {
  CHECK(make(bare(unused_port()))->wake_fd() == -1);
}

TEST_CASE("UDP ports are free when nobody is bound to them, whatever their options") {
  for (const bool reuse : {false, true}) {
    Fd socket = bind_socket(Address::v4_loopback(), {.protocol = Protocol::udp, .reuse_address = reuse});
    const std::uint16_t port = port_of(socket);
    const auto check = make("udp:" + bare(port));
    const Answer answer = check->ask(Deadline::never());
    CHECK(answer.reason == "held");
    CHECK(answer.sentence.find("UDP port " + bare(port) + " is held by unit-tests (pid ") == 0);
    CHECK(is_free(bare(port)));
    socket.reset();
    REQUIRE(is_readable(check->wake_fd(), 2000));
    CHECK(check->ask(Deadline::never()).good());
    CHECK(bind_socket(Address::v4_loopback(),
                      {.protocol = Protocol::udp, .port = port, .reuse_address = false}));
  }
}

TEST_CASE("somebody who may not bind to a low port does not take it for free") {
  if (!is_root()) return;
  CHECK(in_child([] {
    enter_new_network();
    const Fd listener = listen_socket(Address::v4_loopback(), {.port = 80});
    if (setuid(65534) != 0) return false;
    const auto held = make("80");
    const Answer answer = held->ask(Deadline::never());
    const auto free = make("81");
    return answer.reason == "held" && free->ask(Deadline::never()).good() &&
           free->limitation().find("no right to bind") != std::string::npos;
  }));
}

TEST_CASE("strictly, ended connections keep a low port for those who may not bind, too") {
  if (!is_root()) return;
  CHECK(in_child([] {
    enter_new_network();
    Fd listener = listen_socket(Address::v4_loopback(), {.port = 80});
    Fd client = connect_to({Address::v4_loopback(), 80});
    accept_from(listener).reset();
    listener.reset();
    await_end(client);
    client.reset();
    if (setuid(65534) != 0) return false;
    return is_free("80") && !is_free("80", {.strict = true});
  }));
}

TEST_CASE("without IPv6 a bare port means IPv4") {
  if (!is_root()) return;
  CHECK(in_child([] {
    enter_new_network();
    Fd off(open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC));
    if (off && write(off.get(), "1", 1) != 1) return false;
    Fd listener = listen_socket(Address::v4_loopback());
    const std::string port = bare(port_of(listener));
    const bool held = !is_free(port) && !is_free("localhost:" + port);
    listener.reset();
    return held && is_free(port) && is_free("localhost:" + port);
  }));
}

TEST_CASE("an address that is not of this machine is not free") {
  PortQuestion question{.target = *parse_target("192.0.2.1:80"), .free = true};
  PortFreeCheck check(question, std::make_shared<Sockets>());
  CHECK(check.ask(Deadline::never()).reason == "not-local");
}

TEST_CASE("a port that refuses is free from afar, one that cannot be looked up is not") {
  CHECK(is_free(bare(unused_port()), {.connect = true}));
  const Fd listener = listen_socket(Address::v4_any());
  CHECK(ask(bare(port_of(listener)), {.connect = true}).reason == "open");
  CHECK_FALSE(is_free("no-such-host.invalid:80"));
}

TEST_CASE("a unix socket is free when nobody is bound to it, strictly when the file is gone, too") {
  const Scratch scratch;
  const std::string path = scratch / "s";
  const std::string target = "unix:" + path;
  CHECK(is_free(target, {.strict = true}));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress name = SocketAddress::unix_path(path);
  REQUIRE(bind(socket.get(), name.get(), name.length) == 0);
  const Answer answer = ask(target);
  CHECK(answer.reason == "held");
  CHECK(answer.sentence.find(target + " is held by unit-tests (pid ") == 0);
  socket.reset();
  CHECK(is_free(target));
  CHECK(ask(target, {.strict = true}).sentence == target + " is in the way, though nobody is bound to it");
  REQUIRE(unlink(path.c_str()) == 0);
  CHECK(is_free(target, {.strict = true}));
}
