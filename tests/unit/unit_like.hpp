#pragma once

#include "net.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

// Processes in cgroups of their own, as systemd makes them for its units.
namespace safe_deploy::test {

// A cgroup of our own, made as systemd makes that of a unit; nothing where that cannot be done.
class TestCgroup {
 public:
  explicit TestCgroup(const std::string& name) {
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      const auto path = std::filesystem::path(mount) / name;
      if (!std::filesystem::exists(std::filesystem::path(mount) / "cgroup.procs")) continue;
      if (mkdir(path.c_str(), 0755) == 0) path_ = path;
      break;
    }
  }
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;
  ~TestCgroup() {
    if (!path_.empty()) (void)rmdir(path_.c_str());
  }

  [[nodiscard]] bool exists() const { return !path_.empty(); }
  bool enter() const {
    return static_cast<bool>(std::ofstream(path_ / "cgroup.procs") << getpid() << std::flush);
  }

 private:
  std::filesystem::path path_;
};

// A process in a cgroup of its own that listens on a port.
class Server {
 public:
  Server(const std::string& unit, const SocketOptions& options) : cgroup_(unit) {
    int up[2];
    if (pipe2(up, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    int down[2];
    if (pipe2(down, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    pid_ = fork();
    if (pid_ == 0) {
      (void)close(down[1]);
      Fd listener;
      if (cgroup_.exists() && cgroup_.enter()) listener = listen_socket(Address::v4_loopback(), options);
      (void)!write(up[1], listener ? "y" : "n", 1);
      char byte = 0;
      (void)!read(down[0], &byte, 1);
      _exit(0);
    }
    (void)close(up[1]);
    (void)close(down[0]);
    keep_.reset(down[1]);
    char answer = 'n';
    (void)!read(up[0], &answer, 1);
    (void)close(up[0]);
    listens_ = answer == 'y';
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    keep_.reset();
    (void)waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] bool listens() const { return listens_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  TestCgroup cgroup_;
  pid_t pid_ = 0;
  Fd keep_;
  bool listens_ = false;
};

// A name for a unit that no other test has.
inline std::string unit_name(const std::string& which = "a") {
  return "safe-deploy-test-" + std::to_string(getpid()) + "-" + which + ".service";
}

} // namespace safe_deploy::test
