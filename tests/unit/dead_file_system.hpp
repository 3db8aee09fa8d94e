#pragma once

#include "deadline.hpp"
#include "fd.hpp"
#include "scratch.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <thread>

namespace safe_deploy::test {

// A file system (FUSE) whose server takes each request and never answers: whoever asks it for something waits
// in the kernel, and not even SIGKILL ends that. To be made on a thread of its own, on which it is mounted
// for nobody else.
class DeadFileSystem {
 public:
  DeadFileSystem() {
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
      problem_ = std::string("no mounts of our own: ") + std::strerror(errno);
      return;
    }
    fuse_.reset(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    const std::string options = "fd=" + std::to_string(fuse_.get()) + ",rootmode=40000,user_id=0,group_id=0";
    if (!fuse_ || mount("dead", path().c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) < 0) {
      problem_ = std::string("no file system by FUSE: ") + std::strerror(errno);
      return;
    }
    stop_.reset(eventfd(0, EFD_CLOEXEC));
    server_ = std::thread([this] { serve(); });
  }
  DeadFileSystem(const DeadFileSystem&) = delete;
  DeadFileSystem& operator=(const DeadFileSystem&) = delete;
  ~DeadFileSystem() {
    abort();
    (void)umount2(path().c_str(), MNT_DETACH);
  }

  // Why there is none; empty if there is one.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::string path() const { return directory_.path(); }
  // How many requests wait for ever.
  [[nodiscard]] int taken() const { return taken_; }

  // The server ends: from now on the kernel answers in its place, with errors.
  void abort() {
    if (!server_.joinable()) return;
    const std::uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof one);
    server_.join();
    fuse_.reset();
  }

 private:
  void serve() {
    std::array<char, FUSE_MIN_READ_BUFFER> request{};
    for (;;) {
      std::array<pollfd, 2> wait{pollfd{fuse_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
      (void)poll(wait.data(), wait.size(), -1);
      if (wait[1].revents != 0 || (wait[0].revents & POLLERR) != 0) return;
      if (read(fuse_.get(), request.data(), request.size()) < static_cast<ssize_t>(sizeof(fuse_in_header)))
        continue;
      fuse_in_header header{};
      std::memcpy(&header, request.data(), sizeof header);
      if (header.opcode == FUSE_INIT)
        welcome(header.unique);
      else if (header.opcode != FUSE_INTERRUPT)
        ++taken_;
    }
  }

  void welcome(std::uint64_t unique) const {
    struct {
      fuse_out_header header;
      fuse_init_out init;
    } answer{};
    answer.header = {sizeof answer, 0, unique};
    answer.init.major = FUSE_KERNEL_VERSION;
    answer.init.minor = FUSE_KERNEL_MINOR_VERSION;
    answer.init.max_write = 4096;
    (void)!write(fuse_.get(), &answer, sizeof answer);
  }

  Scratch directory_;
  std::string problem_ = {};
  Fd fuse_ = {};
  Fd stop_ = {};
  std::atomic<int> taken_ = 0;
  std::thread server_ = {};
};

// Runs `use` with one; says why it could not be.
inline std::string with_dead_file_system(const std::function<void(DeadFileSystem&)>& use) {
  std::string problem;
  std::thread([&] {
    DeadFileSystem dead;
    problem = dead.problem();
    if (problem.empty()) use(dead);
  }).join();
  return problem;
}

// The processes that this one has made and that have not ended.
inline std::set<std::string> children() {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string line;
    std::getline(file, line);
    // proc(5): "4711 (command) S 4710 ..."
    const std::size_t end = line.rfind(')');
    if (end == std::string::npos || line.size() < end + 4 || line[end + 2] == 'Z') continue;
    if (std::stoi(line.substr(end + 4)) == getpid()) found.insert(entry.path().filename());
  }
  return found;
}

// Those that have come since; the kernel may take a moment to end those that were killed.
inline std::set<std::string> more_children(const std::set<std::string>& before) {
  std::set<std::string> more = children();
  for (const auto& one : before) more.erase(one);
  return more;
}
inline bool no_more_children(const std::set<std::string>& before, const Deadline& deadline) {
  while (!more_children(before).empty())
    if (deadline.has_passed()) return false;
  return true;
}

} // namespace safe_deploy::test
