#include "process.hpp"

#include "catch.hpp"
#include "net.hpp"
#include "owner.hpp"
#include "unit_like.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

using namespace safe_deploy;
using namespace safe_deploy::test;

namespace {

// A child that runs until it is told to end, by closing this end of a pipe.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    pid_ = fork();
    if (pid_ == 0) {
      (void)close(ends[1]);
      char byte = 0;
      (void)!read(ends[0], &byte, 1);
      _exit(body());
    }
    (void)close(ends[0]);
    pipe_.reset(ends[1]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    pipe_.reset();
    reap();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  void end() { pipe_.reset(); }
  void reap() {
    if (pid_ > 0) (void)waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  Fd pipe_;
};

std::string how(const Process& process) {
  if (!is_readable(process.fd(), 5000)) return "still runs";
  return process.how_it_ended();
}

HeldSocket held(const Address& address, std::uint16_t port) {
  Sockets sockets;
  const auto found = sockets.receiver(Protocol::tcp, {address, port});
  if (!found || !*found) throw std::runtime_error("no listener");
  return {(*found)->inode, (*found)->cgroup, (*found)->uid};
}

} // namespace

TEST_CASE("the unit is read from the path of a cgroup as systemd does") {
  const auto unit = [](const char* path) { return unit_of_cgroup(path).unit; };
  CHECK(unit("/system.slice/demo.service") == "demo.service");
  CHECK(unit("/system.slice/system-demo.slice/demo@1.service") == "demo@1.service");
  CHECK(unit("/system.slice/demo.service/payload/worker") == "demo.service");
  CHECK(unit("/init.scope") == "init.scope");
  CHECK(unit("/machine.slice/systemd-nspawn@x.service/payload/system.slice/a.service") ==
        "systemd-nspawn@x.service");
  CHECK(unit("/system.slice/_cgroup.service") == "cgroup.service");
  CHECK(unit("/system.slice/docker-0123.scope") == "docker-0123.scope");
  CHECK(unit("/system.slice/dev-disk-by\\x2dlabel-a.swap") == "dev-disk-by\\x2dlabel-a.swap");
  for (const char* path : {"", "/", "/payload", "/a\x1b[31m.service", "/a b.service", "/system.slice",
                           "/a/demo.service", "/.service", "//"})
    CHECK(unit(path).empty());
}

TEST_CASE("a user's unit is told with the user manager's") {
  const auto found = unit_of_cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/bridge.service");
  CHECK(found.unit == "user@1000.service");
  CHECK(found.user_unit == "bridge.service");
  CHECK(unit_of_cgroup("/user.slice/user-1000.slice/session-2.scope").unit == "session-2.scope");
  CHECK(unit_of_cgroup("/user.slice/user-1000.slice/user@1000.service/init.scope").user_unit == "init.scope");
}

TEST_CASE("how a process ended is told in words") {
  CHECK(describe_wait_status(W_EXITCODE(3, 0)) == "exited with status 3");
  CHECK(describe_wait_status(W_EXITCODE(0, SIGKILL)) == "was killed by SIGKILL");
  CHECK(describe_wait_status(W_EXITCODE(0, SIGSEGV) | WCOREFLAG) == "was killed by SIGSEGV (core dumped)");
  CHECK(describe_wait_status(W_EXITCODE(0, 40)) == "was killed by signal 40");
}

TEST_CASE("the parent is told how its child ended") {
  Child child([] { return 3; });
  const auto process = Process::open(child.pid());
  REQUIRE(process);
  CHECK_FALSE(process->has_ended());
  child.end();
  CHECK(how(*process) == "exited with status 3");
  CHECK(process->has_ended());
}

TEST_CASE("a process that was killed is told so") {
  Child child([] { return 0; });
  const auto process = Process::open(child.pid());
  REQUIRE(process);
  REQUIRE(kill(child.pid(), SIGKILL) == 0);
  CHECK(how(*process) == "was killed by SIGKILL");
}

TEST_CASE("somebody who is not the parent is told as well, or at least that it is gone") {
  Child child([] { return 4; });
  const pid_t pid = child.pid();
  int ready[2];
  REQUIRE(pipe2(ready, O_CLOEXEC) == 0);
  const Fd read_end(ready[0]);
  Fd write_end(ready[1]);
  const pid_t watcher = fork();
  if (watcher == 0) {
    child.end(); // this process's copy of what keeps it alive
    const auto process = Process::open(pid);
    (void)!write(write_end.get(), "r", 1);
    if (!process) _exit(1);
    const std::string text = how(*process);
    _exit(text == "exited with status 4" ? 0 : text == "is gone" ? 2 : 3);
  }
  char byte = 0;
  REQUIRE(read(read_end.get(), &byte, 1) == 1);
  child.end();
  child.reap();
  int status = 0;
  REQUIRE(waitpid(watcher, &status, 0) == watcher);
  REQUIRE(WIFEXITED(status));
  CHECK((WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2));
}

TEST_CASE("a process that is gone is a no") {
  Child child([] { return 0; });
  const pid_t pid = child.pid();
  child.end();
  child.reap();
  const auto process = Process::open(pid);
  REQUIRE_FALSE(process);
  CHECK(process.error().outcome() == Outcome::no);
  CHECK(process.error().text() == "process " + std::to_string(pid) + ": is gone");
}

TEST_CASE("whoever listens is found") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const Holder holder = find_holder(held(Address::v4_loopback(), port_of(listener)));
  CHECK(holder.pid == getpid());
  CHECK(holder.uid == geteuid());
  CHECK(holder.others == 0);
  CHECK(holder.command == "unit-tests");
  CHECK(holder.unknown.empty());
}

TEST_CASE("a command's name cannot do harm in a message") {
  const Fd listener = listen_socket(Address::v4_loopback());
  const HeldSocket socket = held(Address::v4_loopback(), port_of(listener));
  REQUIRE(prctl(PR_SET_NAME, "a\n\x1b[31mb") == 0);
  const Holder holder = find_holder(socket);
  REQUIRE(prctl(PR_SET_NAME, "unit-tests") == 0);
  CHECK(holder.command == "a\\x0a\\x1b[31mb");
}

TEST_CASE("of several that share a socket the eldest is named") {
  const Fd listener = listen_socket(Address::v4_loopback());
  Child one([] { return 0; });
  Child two([] { return 0; });
  const Holder holder = find_holder(held(Address::v4_loopback(), port_of(listener)));
  CHECK(holder.pid == getpid());
  CHECK(holder.others == 2);
  CHECK(holder.text().find("and 2 more") != std::string::npos);
}

TEST_CASE("a socket that no process has is told so") {
  const Holder holder = find_holder({.inode = 0, .uid = 7});
  CHECK(holder.pid == 0);
  CHECK(holder.text() == "a process (uid 7, no process has it any more)");
}

TEST_CASE("the cgroup of the socket names unit and process") {
  if (!is_root()) return;
  const std::uint16_t port = unused_port();
  const Server server(unit_name(), {.port = port});
  if (!server.listens()) {
    WARN("no cgroup v2 can be made here");
    return;
  }
  const Holder holder = find_holder(held(Address::v4_loopback(), port));
  CHECK(holder.unit == unit_name());
  CHECK(holder.pid == server.pid());
  CHECK(holder.cgroup == "/" + unit_name());
  CHECK(holder.text() == "unit-tests (pid " + std::to_string(server.pid()) + ", uid 0, " + unit_name() + ")");
}

TEST_CASE("without privilege the unit is known and the process guessed only if there is one") {
  if (!is_root()) return;
  const std::uint16_t port = unused_port();
  const Server server(unit_name(), {.port = port});
  if (!server.listens()) return;
  const pid_t pid = server.pid();
  CHECK(in_child([port, pid] {
    if (setuid(65534) != 0) return false;
    const Holder holder = find_holder(held(Address::v4_loopback(), port));
    return holder.unit == unit_of_cgroup("/" + holder.unit).unit && holder.unit.ends_with(".service") &&
           holder.pid == pid;
  }));
}

TEST_CASE("without privilege and cgroup the owner is known, and why no more") {
  if (!is_root()) return;
  const Fd listener = listen_socket(Address::v4_loopback());
  const std::uint16_t port = port_of(listener);
  CHECK(in_child([port] {
    // The parent and this process have it; the parent may not be looked into.
    for (int fd = 3; fd < 64; ++fd) (void)close(fd);
    if (setuid(65534) != 0) return false;
    HeldSocket socket = held(Address::v4_loopback(), port);
    socket.cgroup = 0;
    const Holder holder = find_holder(socket);
    return holder.pid == 0 && holder.uid == 0 &&
           holder.text() == "a process (uid 0, no permission to look into the processes of other users)";
  }));
}

TEST_CASE("a socket of another unit is not this unit's") {
  Holder holder{.cgroup = "/system.slice/a.service", .unit = "a.service"};
  CHECK(is_owned_by(holder, "a.service") == true);
  CHECK(is_owned_by(holder, "b.service") == false);
}

TEST_CASE("a socket that systemd holds is the unit's that it starts") {
  const Holder holder{.unit = "a.socket", .starts = {"a.service"}};
  CHECK(is_owned_by(holder, "a.service") == true);
  CHECK(is_owned_by(holder, "a.socket") == true);
  CHECK(is_owned_by(holder, "b.service") == false);
}

TEST_CASE("a user's unit does not pass for one of the system") {
  const std::string manager = "user@" + std::to_string(geteuid() + 1) + ".service";
  const Holder other{.unit = manager, .user_unit = "a.service"};
  CHECK(is_owned_by(other, "a.service") == false);
  const Holder own{.unit = "user@" + std::to_string(geteuid()) + ".service", .user_unit = "a.service"};
  CHECK(is_owned_by(own, "a.service") == true);
}

TEST_CASE("whose it is cannot be told where nothing is known") {
  CHECK(is_owned_by(Holder{}, "a.service") == std::nullopt);
  CHECK(is_owned_by(Holder{.cgroup = "/"}, "a.service") == std::nullopt);
  CHECK(is_owned_by(Holder{.cgroup = "/payload"}, "a.service") == false);
  CHECK(is_owned_by(Holder{.pid = 4711}, "a.service") == false);
}
