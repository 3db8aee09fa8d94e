#include "process.hpp"

#include "name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstddef>
#include <cstring>
#include <memory>

namespace safe_deploy {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { (void)closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory open_directory(int at, const char* path) {
  Fd fd(openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* directory = fd ? fdopendir(fd.get()) : nullptr;
  if (directory != nullptr) (void)fd.release();
  return Directory(directory);
}

std::string read_small_file(int at, const char* path) {
  const Fd file(openat(at, path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while (file && (got = read(file.get(), buffer.data(), buffer.size())) > 0)
    text.append(buffer.data(), static_cast<std::size_t>(got));
  return text;
}

std::optional<pid_t> read_pid(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

// --- units

// cgroup names that would clash with the kernel's files are escaped with '_' (cg_escape of systemd).
std::string_view unescaped(std::string_view component) {
  if (component.starts_with('_')) component.remove_prefix(1);
  return component;
}

bool is_unit_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view(":-_.\\@").find(c) != std::string_view::npos;
}

// systemd.unit(5). Others than systemd make cgroups, too, with any name.
bool is_unit_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> types{".service", ".scope", ".socket", ".mount", ".swap"};
  return std::all_of(name.begin(), name.end(), is_unit_character) &&
         std::any_of(types.begin(), types.end(), [&](std::string_view type) {
           return name.size() > type.size() && name.ends_with(type);
         });
}

// Takes the slices and the component behind them off the path: that is the unit, if it has a unit's name.
std::string take_unit(std::string_view& path) {
  while (!path.empty()) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = unescaped(path.substr(0, end));
    path.remove_prefix(end);
    if (component.ends_with(".slice")) continue;
    return is_unit_name(component) ? std::string(component) : std::string();
  }
  return {};
}

// --- cgroups

// What name_to_handle_at(2) gives for a cgroup: a struct file_handle with the id behind its two numbers.
struct CgroupHandle {
  unsigned bytes = sizeof id;
  int type = 0xfe; // FILEID_KERNFS of include/linux/exportfs.h
  std::uint64_t id = 0;
};
static_assert(offsetof(CgroupHandle, id) == offsetof(file_handle, f_handle));

constexpr long cgroup2_magic = 0x63677270; // linux/magic.h

bool is_cgroup2(const char* path) {
  struct statfs status {};
  return statfs(path, &status) == 0 && status.f_type == cgroup2_magic;
}

// A line of /proc/self/mountinfo: "36 35 98:0 ROOT MOUNTPOINT OPTIONS [FIELDS] - TYPE SOURCE SUPEROPTIONS"
std::optional<std::string> cgroup2_mount() {
  for (const char* usual : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
    if (is_cgroup2(usual)) return usual;
  const std::string mounts = read_small_file(AT_FDCWD, "/proc/self/mountinfo");
  std::string_view rest = mounts;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find(" - cgroup2 ") == std::string_view::npos) continue;
    for (int i = 0; i < 4; ++i) line.remove_prefix(std::min(line.find(' ') + 1, line.size()));
    return std::string(line.substr(0, line.find(' ')));
  }
  return std::nullopt;
}

// An unprivileged process may not open by handle; the id is the directory's inode number as well.
std::optional<std::string> search_cgroup(int at, const char* name, const std::string& path, ino_t wanted) {
  const Directory directory = open_directory(at, name);
  if (!directory) return std::nullopt;
  std::vector<std::string> below;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (entry->d_ino == wanted) return fmt::format("{}/{}", path, entry->d_name);
    below.emplace_back(entry->d_name);
  }
  for (const auto& child : below) {
    auto found =
        search_cgroup(dirfd(directory.get()), child.c_str(), fmt::format("{}/{}", path, child), wanted);
    if (found) return found;
  }
  return std::nullopt;
}

// --- processes

// Looks for one socket in the descriptor tables of processes.
class SocketHunt {
 public:
  explicit SocketHunt(std::uint64_t inode)
      : proc_(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        link_(fmt::format("socket:[{}]", inode)) {}

  enum class Found : std::uint8_t { no, yes, denied, cut };

  // `most`: how many descriptors to look at; Found::cut says that there were more.
  Found look(pid_t pid, unsigned most) {
    const Directory directory = open_directory(proc_.get(), fmt::format("{}/fd", pid).c_str());
    if (!directory) return errno == EACCES || errno == EPERM ? Found::denied : Found::no;
    const int at = dirfd(directory.get());
    std::array<char, 64> target;
    while (const dirent* entry = readdir(directory.get())) {
      if (entry->d_name[0] == '.') continue;
      if (most-- == 0) return Found::cut;
      const ssize_t length = readlinkat(at, entry->d_name, target.data(), target.size());
      if (length < 0 && (errno == EACCES || errno == EPERM)) return Found::denied;
      if (length > 0 && link_ == std::string_view(target.data(), static_cast<std::size_t>(length)))
        return Found::yes;
    }
    return Found::no;
  }

  // Those of `pids` that have the socket. Servers open it early, so that it has a low number: the first
  // descriptors of every process are looked at before the many that a few have.
  std::vector<pid_t> look(const std::vector<pid_t>& pids) {
    constexpr unsigned first_ones = 128;
    std::vector<pid_t> found;
    std::vector<pid_t> cut;
    for (const pid_t pid : pids) {
      const Found result = look(pid, first_ones);
      if (result == Found::yes) found.push_back(pid);
      if (result == Found::cut) cut.push_back(pid);
      if (result == Found::denied) ++denied_;
    }
    if (!found.empty()) return found;
    for (const pid_t pid : cut)
      if (look(pid, UINT_MAX) == Found::yes) found.push_back(pid);
    return found;
  }

  std::vector<pid_t> all_processes() {
    std::vector<pid_t> pids;
    const Directory directory = open_directory(proc_.get(), ".");
    while (const dirent* entry = directory ? readdir(directory.get()) : nullptr)
      if (const auto pid = read_pid(entry->d_name)) pids.push_back(*pid);
    return pids;
  }

  [[nodiscard]] unsigned denied() const { return denied_; }
  [[nodiscard]] int proc() const { return proc_.get(); }

 private:
  Fd proc_;
  std::string link_;
  unsigned denied_ = 0;
};

// Processes choose it themselves.
std::string command_of(int proc, pid_t pid) {
  std::string command = read_small_file(proc, fmt::format("{}/comm", pid).c_str());
  if (command.ends_with('\n')) command.pop_back();
  return printable(command);
}

std::optional<uid_t> uid_of(int at, const char* process_directory) {
  struct stat status {};
  if (fstatat(at, process_directory, &status, 0) != 0) return std::nullopt;
  return status.st_uid;
}

// The fields of /proc/PID/stat behind the command, which may hold anything: the first is number 3 (proc(5)).
std::vector<std::string> stat_fields(int at, const char* path) {
  const std::string stat = read_small_file(at, path);
  std::vector<std::string> fields;
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return fields;
  std::string_view rest = std::string_view(stat).substr(close + 1);
  while (!rest.empty()) {
    const std::size_t start = std::min(rest.find_first_not_of(" \n"), rest.size());
    rest.remove_prefix(start);
    const std::size_t end = std::min(rest.find_first_of(" \n"), rest.size());
    if (end > 0) fields.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return fields;
}

std::uint64_t start_time(int proc, pid_t pid) {
  constexpr std::size_t field = 22 - 3;
  const auto fields = stat_fields(proc, fmt::format("{}/stat", pid).c_str());
  std::uint64_t ticks = UINT64_MAX;
  if (fields.size() > field)
    (void)std::from_chars(fields[field].data(), fields[field].data() + fields[field].size(), ticks);
  return ticks;
}

// Of several that share a listening socket, the one that was there first is the server, the others its
// workers.
pid_t eldest(int proc, const std::vector<pid_t>& pids) {
  return *std::min_element(pids.begin(), pids.end(), [proc](pid_t a, pid_t b) {
    return std::pair(start_time(proc, a), a) < std::pair(start_time(proc, b), b);
  });
}

void name_process(Holder& holder, int proc, pid_t pid) {
  holder.pid = pid;
  holder.command = command_of(proc, pid);
  if (const auto uid = uid_of(proc, fmt::format("{}", pid).c_str())) holder.uid = *uid;
}

} // namespace

CgroupUnit unit_of_cgroup(std::string_view path) {
  CgroupUnit found;
  found.unit = take_unit(path);
  if (found.unit.starts_with("user@") && found.unit.ends_with(".service")) found.user_unit = take_unit(path);
  return found;
}

CgroupUnit unit_of_process(pid_t pid) {
  const std::string text = read_small_file(AT_FDCWD, fmt::format("/proc/{}/cgroup", pid).c_str());
  // cgroups(7): "0::PATH" is version 2; where systemd is on version 1 its own hierarchy has the units.
  CgroupUnit unit;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t path = line.find(":/");
    if (path == std::string_view::npos) continue;
    if (!line.starts_with("0::") && line.find(":name=systemd:") == std::string_view::npos) continue;
    CgroupUnit found = unit_of_cgroup(line.substr(path + 1));
    if (!found.unit.empty()) unit = std::move(found);
  }
  return unit;
}

Result<Cgroups> Cgroups::open() {
  const auto mount = cgroup2_mount();
  if (!mount) return fail(Outcome::no, "cgroup v2", "is not mounted");
  Fd root(::open(mount->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno(*mount, "cannot open");
  return Cgroups(std::move(root), *mount);
}

std::optional<std::string> Cgroups::path_of(std::uint64_t id) const {
  CgroupHandle handle;
  handle.id = id;
  const Fd cgroup(
      open_by_handle_at(root_.get(), reinterpret_cast<file_handle*>(&handle), O_PATH | O_CLOEXEC));
  if (!cgroup && errno == ESTALE) return std::nullopt;
  if (cgroup) {
    std::array<char, PATH_MAX> path;
    const std::string link = fmt::format("/proc/self/fd/{}", cgroup.get());
    const ssize_t length = readlink(link.c_str(), path.data(), path.size());
    const std::string_view found(path.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    if (found == mount_) return "/";
    if (found.starts_with(mount_) && !found.ends_with(" (deleted)"))
      return std::string(found.substr(mount_.size()));
  }
  struct stat root {};
  if (fstat(root_.get(), &root) == 0 && root.st_ino == id) return "/";
  return search_cgroup(root_.get(), ".", "", id);
}

std::vector<pid_t> Cgroups::processes(const std::string& path) const {
  const std::string text = read_small_file(root_.get(), fmt::format(".{}/cgroup.procs", path).c_str());
  std::vector<pid_t> pids;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (const auto pid = read_pid(rest.substr(0, end))) pids.push_back(*pid);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return pids;
}

std::vector<pid_t> Cgroups::processes_below(const std::string& path) const {
  constexpr std::size_t most = 1000;
  std::vector<std::string> paths{path};
  std::vector<pid_t> pids;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto here = processes(paths[i]);
    pids.insert(pids.end(), here.begin(), here.end());
    const Directory directory = open_directory(root_.get(), fmt::format(".{}", paths[i]).c_str());
    while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
      const std::string_view name = entry->d_name;
      if (entry->d_type == DT_DIR && name != "." && name != ".." && paths.size() < most)
        paths.push_back(fmt::format("{}/{}", paths[i], name));
    }
  }
  return pids;
}

std::optional<Holder> holder_of_process(pid_t pid) {
  const Fd proc(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto uid = uid_of(proc.get(), std::to_string(pid).c_str());
  if (!uid) return std::nullopt;
  CgroupUnit unit = unit_of_process(pid);
  return Holder{.pid = pid,
                .command = command_of(proc.get(), pid),
                .uid = *uid,
                .unit = std::move(unit.unit),
                .user_unit = std::move(unit.user_unit)};
}

Holder find_holder_unit(const HeldSocket& socket) {
  Holder holder{.uid = socket.uid};
  if (socket.cgroup == 0) return holder;
  const auto cgroups = Cgroups::open();
  if (!cgroups) return holder;
  if (auto path = cgroups->path_of(socket.cgroup)) {
    CgroupUnit unit = unit_of_cgroup(*path);
    holder.cgroup = *std::move(path);
    holder.unit = std::move(unit.unit);
    holder.user_unit = std::move(unit.user_unit);
  }
  return holder;
}

Holder find_holder(const HeldSocket& socket) {
  Holder holder = find_holder_unit(socket);
  if (socket.inode == 0) {
    holder.unknown = "no process has it any more";
    return holder;
  }
  SocketHunt hunt(socket.inode);
  std::vector<pid_t> near;
  if (!holder.cgroup.empty()) {
    if (const auto cgroups = Cgroups::open()) near = cgroups->processes(holder.cgroup);
  }
  std::vector<pid_t> found = hunt.look(near);
  // A cgroup whose only process may not be looked into: who else should it be?
  const bool only_one = found.empty() && near.size() == 1 && hunt.denied() == 1;
  if (only_one) found = near;
  if (found.empty()) {
    std::vector<pid_t> rest = hunt.all_processes();
    std::erase_if(rest, [&](pid_t pid) { return std::find(near.begin(), near.end(), pid) != near.end(); });
    found = hunt.look(rest);
  }
  if (found.empty()) {
    holder.unknown = hunt.denied() > 0 ? "no permission to look into the processes of other users"
                                       : "its process is not visible from here";
    return holder;
  }
  name_process(holder, hunt.proc(), eldest(hunt.proc(), found));
  holder.others = static_cast<unsigned>(found.size() - 1);
  if (holder.unit.empty()) {
    CgroupUnit unit = unit_of_process(holder.pid);
    holder.unit = std::move(unit.unit);
    holder.user_unit = std::move(unit.user_unit);
  }
  return holder;
}

std::string Holder::text() const {
  std::string details;
  const auto add = [&](const std::string& detail) {
    if (!details.empty()) details += ", ";
    details += detail;
  };
  if (pid != 0) add(fmt::format("pid {}", pid));
  if (others != 0) add(fmt::format("and {} more", others));
  add(fmt::format("uid {}", uid));
  if (!user_unit.empty())
    add(fmt::format("{} of {}", user_unit, unit));
  else if (!unit.empty())
    add(unit);
  if (pid == 0 && !unknown.empty()) add(unknown);
  return fmt::format("{} ({})", pid != 0 ? command : "a process", details);
}

// --- the end of a process

namespace {

// <linux/pidfd.h> of Linux 6.15; older headers do not have it. The kernel takes and gives as much of the
// struct as it knows.
struct PidfdInfo {
  std::uint64_t mask = 0;
  std::uint64_t cgroup_id = 0;
  std::uint32_t ids[11] = {};
  std::int32_t exit_code = 0;
};
constexpr std::uint64_t pidfd_info_exit = 1U << 3U;
const unsigned long pidfd_get_info = _IOWR(0xFF, 11, PidfdInfo);

std::optional<int> status_from_parent(int pidfd) {
  siginfo_t info{};
  constexpr auto by_pidfd = static_cast<idtype_t>(3); // P_PIDFD
  if (waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOWAIT | WNOHANG) != 0 || info.si_pid == 0)
    return std::nullopt;
  switch (info.si_code) {
    case CLD_EXITED:
      return W_EXITCODE(info.si_status, 0);
    case CLD_DUMPED:
      return W_EXITCODE(0, info.si_status) | WCOREFLAG;
    default:
      return W_EXITCODE(0, info.si_status);
  }
}

std::optional<int> status_from_pidfd(int pidfd) {
  PidfdInfo info;
  info.mask = pidfd_info_exit;
  if (ioctl(pidfd, pidfd_get_info, &info) != 0 || (info.mask & pidfd_info_exit) == 0) return std::nullopt;
  return info.exit_code;
}

// Whether the number still means the process of the pidfd: until its parent has taken note of its end.
bool still_there(int pidfd) {
  return syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) == 0 || errno != ESRCH;
}

// proc(5): the last field is the status while the process waits for its parent to take note (state Z). Those
// who may not know it are told 0.
std::optional<int> status_from_zombie(int pidfd, pid_t pid) {
  constexpr std::size_t state_field = 3 - 3;
  constexpr std::size_t status_field = 52 - 3;
  const auto fields = stat_fields(AT_FDCWD, fmt::format("/proc/{}/stat", pid).c_str());
  const auto uid = uid_of(AT_FDCWD, fmt::format("/proc/{}", pid).c_str());
  if (!still_there(pidfd) || fields.size() <= status_field || fields[state_field] != "Z") return std::nullopt;
  int status = 0;
  const std::string& text = fields[status_field];
  (void)std::from_chars(text.data(), text.data() + text.size(), status);
  // Root without that capability, as in the units of safe-deploy, may not know it either.
  const bool may_know = geteuid() == 0 ? prctl(PR_CAPBSET_READ, CAP_SYS_PTRACE) == 1 : uid == geteuid();
  if (status == 0 && !may_know) return std::nullopt;
  return status;
}

} // namespace

std::string describe_wait_status(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with status {}", WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const char* name = sigabbrev_np(signal);
  return fmt::format("was killed by {}{}",
                     name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal),
                     WCOREDUMP(status) ? " (core dumped)" : "");
}

Result<Process> Process::open(pid_t pid) {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd && errno == ESRCH) return fail(Outcome::no, fmt::format("process {}", pid), "is gone");
  if (!fd) return fail_errno(fmt::format("process {}", pid), "cannot watch");
  return Process(pid, std::move(fd));
}

bool Process::has_ended() const {
  pollfd state{fd_.get(), POLLIN, 0};
  return poll(&state, 1, 0) == 1;
}

std::string Process::how_it_ended() const {
  std::optional<int> status = status_from_parent(fd_.get());
  if (!status) status = status_from_zombie(fd_.get(), pid_);
  if (!status) status = status_from_pidfd(fd_.get());
  if (!status) { // the kernel tells once the parent has taken note (POLLHUP), which takes it a moment
    pollfd reaped{fd_.get(), 0, 0};
    (void)poll(&reaped, 1, 3);
    status = status_from_pidfd(fd_.get());
  }
  return status ? describe_wait_status(*status) : "is gone";
}

} // namespace safe_deploy
