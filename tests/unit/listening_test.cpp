#include "catch.hpp"
#include "checks/port_check.hpp"
#include "net.hpp"
#include "scratch.hpp"
#include "unit_like.hpp"

#include <cstdlib>
#include <string>

using namespace safe_deploy;
using namespace safe_deploy::test;

namespace {

std::shared_ptr<PortCheck> make(const std::string& target, PortQuestion question = {}) {
  auto parsed = parse_target(target);
  if (!parsed) throw std::runtime_error(parsed.error().text());
  question.target = std::move(*parsed);
  return make_port_check(std::move(question), std::make_shared<Sockets>());
}

Answer ask(const std::string& target, PortQuestion question = {}) {
  return make(target, std::move(question))->ask(Deadline::after(std::chrono::seconds(5)));
}

bool listens(const std::string& target, PortQuestion question = {}) {
  return ask(target, std::move(question)).good();
}

std::string at(const char* host, const Fd& socket) {
  return std::string(host) + ":" + std::to_string(port_of(socket));
}

std::string bare(const Fd& socket) {
  return std::to_string(port_of(socket));
}

Fd bind_unix(const SocketAddress& name, int type = SOCK_STREAM) {
  Fd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (bind(socket.get(), name.get(), name.length) != 0) throw std::runtime_error("bind");
  return socket;
}

// Nobody has connected to it.
bool untouched(const Fd& listener) {
  return !is_readable(listener.get());
}

} // namespace

TEST_CASE("a bare port is satisfied by a loopback or wildcard listener") {
  for (const Address& address :
       {Address::v4_loopback(), Address::v6_loopback(), Address::v4_any(), Address::v6_any()}) {
    INFO(address.text());
    const Fd listener = listen_socket(address);
    CHECK(listens(bare(listener)));
    CHECK(untouched(listener));
  }
  const Fd other = listen_socket(*parse_address("127.0.0.2"));
  const Answer answer = ask(bare(other));
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "not-listening");
  CHECK(answer.sentence == "nothing listens on port " + bare(other) + ", only on " + at("127.0.0.2", other));
  CHECK_FALSE(answer.final);
}

TEST_CASE("an address is satisfied by who would really answer there") {
  const Fd both = listen_socket(Address::v6_any());
  CHECK(listens(at("127.0.0.1", both)));
  CHECK(listens(at("127.0.0.2", both)));
  CHECK(listens(at("[::1]", both)));
  const Fd only = listen_socket(Address::v6_any(), {.v6_only = true});
  CHECK(listens(at("[::1]", only)));
  CHECK(ask(at("127.0.0.1", only)).sentence ==
        "nothing listens on " + at("127.0.0.1", only) + ", only on " + at("[::]", only) + " (IPv6 only)");
  const Fd one = listen_socket(Address::v4_loopback());
  CHECK(listens(at("127.0.0.1", one)));
  CHECK_FALSE(listens(at("127.0.0.2", one)));
  CHECK_FALSE(listens(at("[::1]", one)));
}

TEST_CASE("a wildcard target asks for a listener on all addresses") {
  const Fd one = listen_socket(Address::v4_loopback());
  CHECK_FALSE(listens(at("0.0.0.0", one)));
  const Fd all = listen_socket(Address::v4_any());
  CHECK(listens(at("0.0.0.0", all)));
}

TEST_CASE("localhost is both loopback addresses, without a resolver") {
  const Fd v4 = listen_socket(Address::v4_loopback());
  const Fd v6 = listen_socket(Address::v6_loopback());
  CHECK(make(at("localhost", v4))->instant());
  CHECK(listens(at("localhost", v4)));
  CHECK(listens(at("localhost", v6)));
  CHECK(untouched(v4));
}

TEST_CASE("a family can be asked for") {
  const Fd v4 = listen_socket(Address::v4_loopback());
  CHECK(listens(bare(v4), {.family = Family::v4}));
  CHECK_FALSE(listens(bare(v4), {.family = Family::v6}));
}

TEST_CASE("a socket that does not listen yet is no listener") {
  const Fd bound = bind_socket(Address::v4_loopback());
  CHECK_FALSE(listens(bare(bound)));
  REQUIRE(listen(bound.get(), 1) == 0);
  CHECK(listens(bare(bound)));
}

TEST_CASE("UDP has its own ports") {
  const Fd udp = bind_socket(Address::v4_any(), {.protocol = Protocol::udp});
  CHECK(listens("udp:" + bare(udp)));
  CHECK(listens("udp:" + at("127.0.0.1", udp)));
  CHECK_FALSE(listens(bare(udp)));
  CHECK(make("udp:" + bare(udp))->ask(Deadline::never()).sentence ==
        "UDP port " + bare(udp) + " is listened on");
}

TEST_CASE("who listens is named when asked") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const auto check = make(bare(listener));
  CHECK_FALSE(check->holder());
  REQUIRE(check->ask(Deadline::never()).good());
  const auto holder = check->holder();
  REQUIRE(holder);
  CHECK(holder->state == "LISTEN");
  CHECK(holder->holder.pid == getpid());
}

TEST_CASE("a listener that is not the unit's is a final no") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const Answer answer = ask(bare(listener), {.unit = "no-such.service"});
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.final);
  CHECK(answer.reason == "other-unit");
  CHECK(answer.sentence.find("port " + bare(listener) + " is held by unit-tests (pid " +
                             std::to_string(getpid())) == 0);
  CHECK(answer.sentence.find(", not by no-such.service") != std::string::npos);
  CHECK_FALSE(ask(std::to_string(unused_port()), {.unit = "no-such.service"}).final);
}

TEST_CASE("the unit whose cgroup has the socket listens") {
  if (!is_root()) return;
  const std::uint16_t port = unused_port();
  const Server server(unit_name(), {.port = port});
  if (!server.listens()) {
    WARN("no cgroup v2 can be made here");
    return;
  }
  const std::string target = std::to_string(port);
  CHECK(ask(target, {.unit = unit_name()}).sentence ==
        "port " + target + " is listened on by " + unit_name());
  const Answer other = ask(target, {.unit = unit_name("b")});
  CHECK(other.reason == "other-unit");
  CHECK(other.final);
  CHECK(other.sentence == "port " + target + " is held by unit-tests (pid " + std::to_string(server.pid()) +
                              ", uid 0, " + unit_name() + "), not by " + unit_name("b"));
}

TEST_CASE("all who share a port must be the unit's") {
  if (!is_root()) return;
  const std::uint16_t port = unused_port();
  const std::string target = std::to_string(port);
  const Server one(unit_name("a"), {.port = port, .reuse_port = true});
  if (!one.listens()) return;
  CHECK(listens(target, {.unit = unit_name("a")}));
  const Server two(unit_name("b"), {.port = port, .reuse_port = true});
  REQUIRE(two.listens());
  CHECK(listens(target));
  CHECK(ask(target, {.unit = unit_name("a")}).sentence.find(unit_name("b") + "), not by ") !=
        std::string::npos);
  CHECK(ask(target, {.unit = unit_name("b")}).sentence.find(unit_name("a") + "), not by ") !=
        std::string::npos);
}

TEST_CASE("a unix socket is a file that somebody listens on") {
  const Scratch scratch;
  const std::string path = scratch / "s";
  const std::string target = "unix:" + path;
  CHECK(ask(target).sentence == "nothing listens on " + target);
  Fd socket = bind_unix(SocketAddress::unix_path(path));
  CHECK(ask(target).sentence == target + " is bound, but nobody listens on it yet");
  REQUIRE(listen(socket.get(), 5) == 0);
  CHECK(listens(target));
  CHECK(untouched(socket));
  const auto check = make(target);
  REQUIRE(check->ask(Deadline::never()).good());
  CHECK(check->holder()->holder.pid == getpid());
}

TEST_CASE("a unix socket whose file was replaced does not count") {
  const Scratch scratch;
  const std::string path = scratch / "s";
  const Fd old = bind_unix(SocketAddress::unix_path(path));
  REQUIRE(listen(old.get(), 5) == 0);
  REQUIRE(unlink(path.c_str()) == 0);
  CHECK_FALSE(listens("unix:" + path));
  const Fd now = bind_unix(SocketAddress::unix_path(path));
  CHECK_FALSE(listens("unix:" + path));
  REQUIRE(listen(now.get(), 5) == 0);
  CHECK(listens("unix:" + path));
}

TEST_CASE("a unix socket is found by a symlink and by a relative path") {
  const Scratch scratch;
  const std::string path = scratch / "s";
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(scratch.path());
  const Fd socket = bind_unix(SocketAddress::unix_path("s"));
  std::filesystem::current_path(before);
  REQUIRE(listen(socket.get(), 5) == 0);
  CHECK(listens("unix:" + path));
  std::filesystem::create_symlink(path, scratch / "link");
  CHECK(listens("unix:" + (scratch / "link")));
}

TEST_CASE("abstract and datagram unix sockets are found") {
  const std::string name = "safe-deploy-test-" + std::to_string(getpid());
  const Fd abstract = bind_unix(SocketAddress::unix_abstract(name));
  CHECK_FALSE(listens("unix:@" + name));
  REQUIRE(listen(abstract.get(), 5) == 0);
  CHECK(listens("unix:@" + name));
  CHECK_FALSE(listens("unix:@" + name + "x"));
  const Scratch scratch;
  const Fd datagram = bind_unix(SocketAddress::unix_path(scratch / "d"), SOCK_DGRAM);
  CHECK(listens("unix:" + (scratch / "d")));
  const Fd packets = bind_unix(SocketAddress::unix_path(scratch / "p"), SOCK_SEQPACKET);
  REQUIRE(listen(packets.get(), 5) == 0);
  CHECK(listens("unix:" + (scratch / "p")));
}

TEST_CASE("connecting is done only when it is asked for, and to every kind of socket") {
  const Fd tcp = listen_socket(Address::v4_loopback());
  CHECK(listens(bare(tcp), {.connect = true}));
  CHECK(is_readable(tcp.get(), 1000));
  CHECK_FALSE(make(bare(tcp), {.connect = true})->instant());
  const Answer refused = ask(std::to_string(unused_port()), {.connect = true});
  CHECK(refused.reason == "refused");
  CHECK(refused.sentence.find("127.0.0.1 refused, ::1 refused") != std::string::npos);
  const Scratch scratch;
  const Fd packets = bind_unix(SocketAddress::unix_path(scratch / "p"), SOCK_SEQPACKET);
  CHECK(ask("unix:" + (scratch / "p"), {.connect = true}).reason == "refused");
  REQUIRE(listen(packets.get(), 5) == 0);
  CHECK(listens("unix:" + (scratch / "p"), {.connect = true}));
  CHECK(is_readable(packets.get(), 1000));
}

TEST_CASE("a name that is not found is a no that says so") {
  const Answer answer = ask("no-such-host.invalid:80");
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "lookup");
  CHECK(answer.sentence.find("no-such-host.invalid:80: cannot look up the name: ") == 0);
  CHECK(ask("no-such-host.invalid:80", {.free = true}).verdict == Verdict::no);
}

TEST_CASE("an address that does not answer is given up at the deadline") {
  if (!is_root()) return;
  CHECK(in_child([] {
    enter_new_network();
    // Packets come back by the loopback interface and are no one's: nothing ever answers.
    if (std::system("ip route add 192.0.2.0/24 dev lo src 127.0.0.1") != 0) return false;
    const auto start = Clock::now();
    const auto check = make("192.0.2.9:80");
    const Answer answer = check->ask(Deadline::after(std::chrono::milliseconds(300)));
    const auto took = Clock::now() - start;
    return !check->instant() && answer.reason == "timeout" &&
           answer.sentence == "192.0.2.9:80: 192.0.2.9 timed out" && took >= std::chrono::milliseconds(280) &&
           took < std::chrono::milliseconds(350);
  }));
}

TEST_CASE("without any table, connecting is the last resort") {
  if (!is_root()) return;
  CHECK(in_child([] {
    const Fd listener = listen_socket(Address::v4_loopback());
    const std::uint16_t port = port_of(listener);
    if (unshare(CLONE_NEWNS) != 0 || std::system("mount --make-rprivate / && mount -t tmpfs none /proc") != 0)
      return false;
    forbid_netlink();
    return listens(std::to_string(port)) && is_readable(listener.get(), 1000) &&
           ask(std::to_string(unused_port())).reason == "not-listening";
  }));
}

TEST_CASE("where sock_diag is forbidden that is told") {
  CHECK(in_child([] {
    const Fd listener = listen_socket(Address::v4_loopback());
    forbid_netlink();
    const auto check = make(bare(listener));
    return check->ask(Deadline::never()).good() && untouched(listener) &&
           check->limitation().find("/proc/net") != std::string::npos;
  }));
}
