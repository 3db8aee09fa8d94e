#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Processes: who has a socket, which unit that is, and how a process ended.
namespace safe_deploy {

// The unit that a cgroup belongs to, by systemd's rules for their names (systemd.special(7),
// sd_pid_get_unit(3)).
struct CgroupUnit {
  std::string unit;      // of the system manager: "demo.service", "user@1000.service"; empty if it is of none
  std::string user_unit; // of that user's own manager, below user@UID.service; else empty
};
// `path` as in /proc/PID/cgroup or below the cgroup file system's root.
CgroupUnit unit_of_cgroup(std::string_view path);

// The unit of a process by /proc/PID/cgroup, for those that have no systemd to ask.
CgroupUnit unit_of_process(pid_t pid);

// The tree of cgroup v2, wherever it is mounted.
class Cgroups {
 public:
  // Outcome::no if none is mounted.
  static Result<Cgroups> open();

  // The path, from the root of the mount ("/system.slice/demo.service"), of the cgroup with this id; a
  // privileged process asks the kernel, others look through the tree. Nothing if there is none (any more).
  [[nodiscard]] std::optional<std::string> path_of(std::uint64_t id) const;

  // Those in just this cgroup, not below it.
  [[nodiscard]] std::vector<pid_t> processes(const std::string& path) const;

  // Those in this cgroup and the ones below it, which a service may make as many and as deep as it likes:
  // only the first thousand of them are looked into.
  [[nodiscard]] std::vector<pid_t> processes_below(const std::string& path) const;

 private:
  explicit Cgroups(Fd root, std::string mount) : root_(std::move(root)), mount_(std::move(mount)) {}
  Fd root_;
  std::string mount_;
};

// Who has a socket, as far as that can be seen.
struct Holder {
  pid_t pid = 0;            // 0: not known
  std::string command = {}; // /proc/PID/comm, made printable
  uid_t uid = 0;            // of the process where it is known, else of the socket
  // How many further processes have the socket, too, among those looked at.
  unsigned others = 0;
  std::string cgroup = {}; // the path of the socket's cgroup; empty if it is not known
  std::string unit = {};   // as in CgroupUnit
  std::string user_unit = {};
  // Where systemd itself holds the socket for a .socket unit: the units that it starts.
  std::vector<std::string> starts = {};
  // Why the process is not known: "no permission to look into other users' processes"; empty if it is.
  std::string unknown = {};

  // "bun (pid 4711, uid 1000, claude-bridge.service)"
  [[nodiscard]] std::string text() const;
};

// What the socket tables tell of a socket.
struct HeldSocket {
  std::uint64_t inode = 0;  // 0: no process has it
  std::uint64_t cgroup = 0; // the id; 0: not known
  uid_t uid = 0;
};

// Finds out through the socket's cgroup, which costs a few reads whatever runs on the machine. Only where
// that does not lead to the process (no cgroup v2, a socket that was handed on) are all processes looked
// through.
Holder find_holder(const HeldSocket& socket);

// The unit alone, without looking for the process.
Holder find_holder_unit(const HeldSocket& socket);

// A process as a holder, by what everybody may see of it; nothing if it is gone.
std::optional<Holder> holder_of_process(pid_t pid);

// One certain process, which no reuse of its number can be mistaken for (pidfd_open(2)).
class Process {
 public:
  // Outcome::no with "is gone" if there is none.
  static Result<Process> open(pid_t pid);

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Becomes readable when the process has ended.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool has_ended() const;

  // "exited with status 3", "was killed by SIGSEGV (core dumped)"; "is gone" where nobody tells: before
  // Linux 6.15 that is told only to the parent, or to a privileged process while the parent has not taken
  // note of it. Call it once it has ended; takes 3 ms at most.
  [[nodiscard]] std::string how_it_ended() const;

 private:
  Process(pid_t pid, Fd fd) : pid_(pid), fd_(std::move(fd)) {}
  pid_t pid_;
  Fd fd_;
};

// The same words for what wait(2) tells.
std::string describe_wait_status(int status);

} // namespace safe_deploy
