#include "catch.hpp"
#include "checks/make.hpp"
#include "checks/tcp_check.hpp"
#include "net.hpp"
#include "scratch.hpp"

#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

namespace {

// Accepts one connection after the other and does with each what the test says.
class Server {
 public:
  using Script = std::function<void(const Server&, int client)>;

  explicit Server(Script script, Fd listener = listen_socket(Address::v4_loopback()))
      : script_(std::move(script)), listener_(std::move(listener)), stop_(eventfd(0, EFD_CLOEXEC)) {
    REQUIRE(listener_);
    thread_ = std::thread([this] {
      while (await(listener_.get(), POLLIN)) {
        const Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client) script_(*this, client.get());
      }
    });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    const std::uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof one);
    thread_.join();
  }

  [[nodiscard]] std::string place() const { return "127.0.0.1:" + std::to_string(port_of(listener_)); }

  // False when the test is over, or after so many milliseconds.
  [[nodiscard]] bool await(int fd, short events, int milliseconds = -1) const {
    pollfd watched[] = {{fd, events, 0}, {stop_.get(), POLLIN, 0}};
    return poll(watched, 2, milliseconds) > 0 && watched[1].revents == 0;
  }
  // False once the client is gone or the test is over.
  [[nodiscard]] bool say(int client, std::string_view text) const {
    while (!text.empty()) {
      if (!await(client, POLLOUT)) return false;
      const ssize_t sent = send(client, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Until so much has come, or the client is gone or the test is over.
  [[nodiscard]] std::string hear(int client, std::size_t size) const {
    std::string all;
    char buffer[4096];
    while (all.size() < size && await(client, POLLIN)) {
      const ssize_t got = read(client, buffer, std::min(sizeof buffer, size - all.size()));
      if (got <= 0) break;
      all.append(buffer, static_cast<std::size_t>(got));
    }
    return all;
  }

  static Script says(std::string text) {
    return [text = std::move(text)](const Server& self, int client) {
      if (self.say(client, text)) (void)self.hear(client, 1);
    };
  }

 private:
  Script script_;
  Fd listener_;
  Fd stop_;
  std::thread thread_;
};

Result<Target> target(const std::string& text) {
  return parse_stream_target(text);
}

Answer ask(const std::string& place, TcpTalk talk = {}, Duration timeout = 10s) {
  return TcpCheck(target(place).value(), std::move(talk)).ask(Deadline::after(timeout));
}

// Without the place in front.
std::string said(const Answer& answer) {
  return answer.sentence.substr(answer.sentence.find(": ") + 2);
}

CheckSection section(const std::vector<std::pair<std::string, std::string>>& settings) {
  CheckSection made;
  made.name = "redis";
  made.kind = settings.front().first;
  made.place = {"app.conf", 10};
  unsigned line = 11;
  for (const auto& [key, value] : settings) made.settings.push_back({key, value, {"app.conf", line++}});
  return made;
}

const CheckContext context{
    .app = "demo", .release = "v\\x41", .link = "/srv/current", .unit = "demo.service"};

std::string error_of(const std::vector<std::pair<std::string, std::string>>& settings) {
  const auto check = make_check(section(settings), context);
  REQUIRE_FALSE(check);
  CHECK(check.error().outcome() == Outcome::bad_config);
  return check.error().text();
}

} // namespace

TEST_CASE("without an expectation the connection is the yes, and it is closed at once") {
  std::atomic<bool> closed = false;
  {
    const Server server([&](const Server& self, int client) { closed = self.hear(client, 1).empty(); });
    const Answer answer = ask(server.place());
    CHECK(answer.verdict == Verdict::yes);
    CHECK(answer.reason == "ok");
    CHECK(answer.sentence == server.place() + ": connected");
    REQUIRE(answer.figures.size() == 1);
    CHECK(answer.figures[0].name == "latency");
    CHECK(answer.figures[0].unit == "s");
    CHECK(answer.figures[0].value > 0);
    while (!closed) std::this_thread::yield();
  }
  CHECK(closed);
}

TEST_CASE("a Redis PING is two lines of configuration") {
  const Server server([](const Server& self, int client) {
    if (self.hear(client, 6) == "PING\r\n" && self.say(client, "+PONG\r\n")) (void)self.hear(client, 1);
  });
  const auto check =
      make_check(section({{"tcp", server.place()}, {"send", "PING\\r\\n"}, {"expect", "+PONG"}}), context);
  REQUIRE(check);
  const Answer answer = (*check)->ask(Deadline::after(10s));
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == server.place() + ": answered '+PONG'");
}

TEST_CASE("what is expected may come in pieces, in the middle, and is shown with its line") {
  const Server server([](const Server& self, int client) {
    for (const char piece : std::string("220 first\r\n250 hel"))
      if (!self.say(client, std::string(1, piece)) || self.await(client, POLLIN, 2)) return;
    if (self.say(client, "lo there\r\n300 more\r\n")) (void)self.hear(client, 1);
  });
  CHECK(said(ask(server.place(), {.expect = "hello"})) == "answered '250 hello there'");
  CHECK(said(ask(server.place(), {.expect = "220"})).starts_with("answered '220"));
}

TEST_CASE("an expectation is no expression, and knows NULs and line ends") {
  const Server server(Server::says(std::string("a.c\0\xff\r\nabc\r\n", 12)));
  CHECK(ask(server.place(), {.expect = std::string("c\0\xff\r\n", 5)}).good());
  CHECK(said(ask(server.place(), {.expect = "a.c"})) == "answered 'a.c'");
  CHECK(said(ask(server.place(), {.expect = "bc\r\n"})) == "answered 'abc'");
  CHECK(ask(server.place(), {.expect = "a.b"}, 300ms).reason == "timeout");
}

TEST_CASE("a server that accepts and says nothing ends at the deadline") {
  const Server server(Server::says(""));
  const Answer answer = ask(server.place(), {.expect = "+PONG"}, 200ms);
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "timeout");
  CHECK(answer.counts);
  CHECK(said(answer) == "connected, but '+PONG' did not come within 200ms (nothing came)");
}

TEST_CASE("a listener that never accepts is connected to, and ends at the deadline") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const std::string place = "127.0.0.1:" + std::to_string(port_of(listener));
  CHECK(ask(place).good());
  CHECK(ask(place, {.send = "x", .expect = "y"}, 200ms).reason == "timeout");
}

TEST_CASE("a server that sends one byte after the other ends at the deadline, and what came is told") {
  const Server server([](const Server& self, int client) {
    while (self.say(client, ".") && !self.await(client, POLLIN, 20)) {
    }
  });
  const auto begin = Clock::now();
  const Answer answer = ask(server.place(), {.expect = "+PONG"}, 2s);
  CHECK(Clock::now() - begin < 5s);
  CHECK(answer.reason == "timeout");
  CHECK(said(answer).find("did not come within 2s (") != std::string::npos);
  CHECK(said(answer).find("came: '..") != std::string::npos);
}

TEST_CASE("a flood ends with 64 KiB") {
  const Server server([](const Server& self, int client) {
    while (self.say(client, std::string(4096, '\0'))) {
    }
  });
  const Answer answer = ask(server.place(), {.expect = "+PONG"});
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "unexpected");
  CHECK(said(answer).starts_with("64K came without '+PONG': '\\x00\\x00"));
  CHECK(answer.sentence.size() < 300);
}

TEST_CASE("a flood is no harm where nothing is expected, and none for what is sent") {
  const Server server([](const Server& self, int client) {
    while (self.say(client, std::string(4096, '.'))) {
    }
  });
  CHECK(ask(server.place()).good());
  CHECK(ask(server.place(), {.send = "hello"}).good());
}

TEST_CASE("what is expected counts up to the last of the 64 KiB") {
  const Server server(Server::says(std::string(65536 - 5, '.') + "+PONG" + std::string(100, '.')));
  CHECK(ask(server.place(), {.expect = "+PONG"}).good());
  const Server later(Server::says(std::string(65536 - 4, '.') + "+PONG" + std::string(100, '.')));
  CHECK(ask(later.place(), {.expect = "+PONG"}).reason == "unexpected");
}

TEST_CASE("a server that closes at once is told with what came before") {
  const Server mute([](const Server&, int) {});
  const Answer nothing = ask(mute.place(), {.expect = "+PONG"});
  CHECK(nothing.reason == "closed");
  CHECK(nothing.counts);
  CHECK(said(nothing) == "it closed the connection before '+PONG' came (nothing came)");
  const Server denies([](const Server& self, int client) {
    (void)self.hear(client, 6);
    (void)self.say(client, "-NOAUTH \x1b[31m\r\n");
  });
  const Answer denied = ask(denies.place(), {.send = "PING\r\n", .expect = "+PONG"});
  CHECK(denied.reason == "closed");
  CHECK(said(denied) == "it closed the connection before '+PONG' came (15 bytes came: '-NOAUTH \\x1b[31m')");
}

TEST_CASE("a reset in the middle is a no, without a signal") {
  const Server server([](const Server&, int client) {
    const linger at_once{1, 0};
    (void)setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  });
  const std::string much(std::size_t{32} << 20U, 'x');
  const Answer answer = ask(server.place(), {.send = much, .expect = "+PONG"});
  CHECK(answer.reason == "closed");
  const Answer sent_only = ask(server.place(), {.send = much});
  CHECK(sent_only.reason == "closed");
  CHECK(sent_only.sentence.size() < 300);
}

TEST_CASE("what is sent must be taken before the deadline") {
  const Server server([](const Server& self, int client) { (void)self.await(client, POLLRDHUP); });
  const Answer answer = ask(server.place(), {.send = std::string(std::size_t{32} << 20U, 'x')}, 300ms);
  CHECK(answer.reason == "timeout");
  CHECK(said(answer).starts_with("connected, but it took "));
}

TEST_CASE("what is said while more is sent is heard") {
  const Server server([](const Server& self, int client) {
    if (self.say(client, std::string(60000, '.') + "done")) (void)self.hear(client, 1);
  });
  CHECK(ask(server.place(), {.send = std::string(std::size_t{8} << 20U, 'x'), .expect = "done"}).good());
}

TEST_CASE("nobody there is a no that does not count") {
  const std::string place = "127.0.0.1:" + std::to_string(unused_port());
  const Answer answer = ask(place, {.expect = "x"});
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "refused");
  CHECK_FALSE(answer.counts);
  CHECK(answer.sentence == place + ": no connection: 127.0.0.1 refused");
  CHECK(answer.figures.empty());
}

TEST_CASE("a bare port and localhost are this machine's, in both families") {
  const Server server(Server::says("hi"));
  const std::string port = server.place().substr(server.place().find(':') + 1);
  CHECK(ask(port, {.expect = "hi"}).sentence == "port " + port + ": answered 'hi'");
  CHECK(ask("localhost:" + port, {.expect = "hi"}).good());
  const std::string unused = std::to_string(unused_port());
  const Answer nobody = ask(unused);
  CHECK(nobody.reason == "refused");
  CHECK(nobody.sentence.find("127.0.0.1 refused, ::1") != std::string::npos);
}

TEST_CASE("a name that has no address is told as such") {
  const Answer answer = ask("no-such-host.invalid:80"); // RFC 6761: never exists
  CHECK(answer.reason == "lookup");
  CHECK_FALSE(answer.counts);
  CHECK(answer.sentence.starts_with(
      "no-such-host.invalid:80: no-such-host.invalid: cannot look up the name: "));
}

TEST_CASE("a resolver that says nothing costs the deadline, and one thread") {
  if (!is_root()) return;
  const Scratch scratch;
  scratch.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n");
  scratch.write("nsswitch.conf", "hosts: dns\n");
  const bool ok = in_child([&] {
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount((scratch / "resolv.conf").c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0 ||
        mount((scratch / "nsswitch.conf").c_str(), "/etc/nsswitch.conf", nullptr, MS_BIND, nullptr) != 0)
      return true; // not in every container
    enter_new_network();
    const Fd mute = bind_socket(Address::v4_loopback(), {.protocol = Protocol::udp, .port = 53});
    TcpCheck check(target("slow.example:80").value(), {});
    for (int i = 0; i < 3; ++i) {
      const Answer answer = check.ask(Deadline::after(200ms));
      if (answer.sentence != "slow.example:80: the name was not resolved within 200ms") {
        (void)std::fprintf(stderr, "%s\n", answer.sentence.c_str());
        return false;
      }
    }
    std::size_t threads = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task"))
      threads += thread.exists();
    _exit(threads <= 2 ? 0 : 1); // not waiting for the look-up
  });
  CHECK(ok);
}

TEST_CASE("a unix socket is talked to as well") {
  const Scratch scratch;
  const std::string path = scratch / "s";
  const Answer absent = ask("unix:" + path);
  CHECK(absent.reason == "refused");
  CHECK_FALSE(absent.counts);
  CHECK(absent.sentence == "unix:" + path + ": there is no such socket");

  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress name = SocketAddress::unix_path(path);
  REQUIRE(bind(listener.get(), name.get(), name.length) == 0);
  CHECK(ask("unix:" + path).reason == "refused");
  REQUIRE(listen(listener.get(), 0) == 0);

  SECTION("and answers") {
    const Server server(Server::says("hi\n"), std::move(listener));
    CHECK(ask("unix:" + path, {.expect = "hi"}).sentence == "unix:" + path + ": answered 'hi'");
  }
  SECTION("also where its queue is full, until the deadline") {
    const Fd first(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(connect(first.get(), name.get(), name.length) == 0);
    const Answer full = ask("unix:" + path, {}, 300ms);
    CHECK(full.reason == "timeout");
    CHECK(said(full).find("no connection within 300ms") != std::string::npos);
  }
}

TEST_CASE("the gate is whoever listens there, as far as that can be seen") {
  const Server server(Server::says("hi"));
  TcpCheck here(target(server.place()).value(), {});
  REQUIRE(here.gate());
  CHECK(here.gate()->instant());
  CHECK(here.gate()->ask(Deadline::never()).good());
  TcpCheck nobody(target("127.0.0.1:" + std::to_string(unused_port())).value(), {});
  REQUIRE(nobody.gate());
  CHECK_FALSE(nobody.gate()->ask(Deadline::never()).good());
  CHECK(TcpCheck(target("example.org:80").value(), {}).gate() == nullptr);
  CHECK(TcpCheck(target("192.0.2.1:80").value(), {}).gate() == nullptr);
}

TEST_CASE("at the app's own port only the app's unit counts, elsewhere anybody") {
  const Server server(Server::says("hi"));
  const Target there = target(server.place()).value();
  const auto asked = [&](const Target& own) {
    TcpCheck check(there, {.expect = "hi"}, std::make_shared<const Identity>("no-such-unit.service", own));
    return std::pair(check.ask(Deadline::after(10s)), check.gate()->ask(Deadline::never()).good());
  };
  const auto [stranger, stranger_gate] = asked(there);
  CHECK(stranger.verdict == Verdict::no);
  CHECK((stranger.reason == "other-unit" || stranger.reason == "unknown-owner"));
  CHECK_FALSE(stranger_gate);
  const auto [other, other_gate] = asked(target("127.0.0.1:1").value());
  CHECK(other.good());
  CHECK(other_gate);
}

TEST_CASE("what is put in for ${release} stands for itself") {
  const Server server([](const Server& self, int client) {
    if (self.hear(client, 6) == "v\\x41\n") (void)self.say(client, "is v\\x41");
  });
  const auto check = make_check(
      section({{"tcp", server.place()}, {"send", "${release}\\n"}, {"expect", "s ${release}"}}), context);
  REQUIRE(check);
  CHECK((*check)->ask(Deadline::after(10s)).sentence == server.place() + ": answered 'is v\\x41'");
}

TEST_CASE("what is wrong with a tcp section is told with its place") {
  CHECK(error_of({{"tcp", "127.0.0.1:1"}, {"send", "${app}\\q"}}) ==
        "app.conf:12: send: '\\q': begins with no escape that there is: \\r, \\n, \\t, \\\\, \\0 and \\xNN");
  CHECK(error_of({{"tcp", "udp:53"}}) == "app.conf:11: tcp: udp:53: UDP knows no connections");
  CHECK(error_of({{"tcp", "127.0.0.1:1"}, {"expect", std::string(65537, 'x')}}) ==
        "app.conf:12: expect: is longer than the answer that is read (64K)");
}

TEST_CASE("a unix socket that may not be connected to is skipped, and told once") {
  const Scratch scratch;
  REQUIRE(chmod(scratch.path().c_str(), 0755) == 0);
  const std::string path = scratch / "s";
  const Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress name = SocketAddress::unix_path(path);
  REQUIRE(bind(listener.get(), name.get(), name.length) == 0);
  CHECK(ask("unix:" + path).sentence == "unix:" + path + ": no connection: refused");
  REQUIRE(listen(listener.get(), 1) == 0);
  REQUIRE(chmod(path.c_str(), 0) == 0);
  CHECK(in_child([&] {
    if (is_root() && setresuid(65534, 65534, 65534) != 0) return false;
    const Answer answer = ask("unix:" + path);
    return answer.verdict == Verdict::skipped && answer.reason == "permission" &&
           answer.sentence == "unix:" + path + ": no connection: Permission denied";
  }));
}
