#include "in_use.hpp"

#include "directory.hpp"
#include "file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

namespace safe_deploy {

namespace {

class Search {
 public:
  Search(const std::string& directory, const std::vector<std::string>& names)
      : below_(directory + "/"), names_(names.begin(), names.end()) {}

  // What ends meanwhile uses nothing.
  Result<void> look_at(int proc, pid_t pid) {
    const std::string shown = fmt::format("/proc/{}", pid);
    const Fd process(openat(proc, std::to_string(pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    denied_ = false;
    if (!process) {
      auto judged = judge(errno, shown);
      if (denied_) ++found.not_looked_into;
      return judged;
    }
    for (const char* name : {"cwd", "root", "exe"})
      if (!look_at_link(process.get(), name, pid))
        if (auto judged = judge(errno, shown); !judged) return judged;
    for (const auto look : {&Search::look_at_files, &Search::look_at_mappings})
      if (auto looked = (this->*look)(process.get(), pid, shown); !looked) return looked;
    if (denied_) ++found.not_looked_into;
    return {};
  }

  InUse found;

 private:
  void look_at_path(std::string_view path, pid_t pid) {
    if (!path.starts_with(below_)) return;
    path.remove_prefix(below_.size());
    std::string_view name = path.substr(0, path.find('/'));
    constexpr std::string_view deleted = " (deleted)"; // the kernel appends it
    if (names_.find(name) == names_.end() && name.ends_with(deleted)) name.remove_suffix(deleted.size());
    if (names_.find(name) == names_.end() || found.by.contains(std::string(name))) return;
    found.by.emplace(name, holder_of_process(pid).value_or(Holder{.pid = pid}));
  }

  bool look_at_link(int directory, const char* name, pid_t pid) {
    std::array<char, PATH_MAX> path;
    const ssize_t length = readlinkat(directory, name, path.data(), path.size());
    if (length > 0) look_at_path(std::string_view(path.data(), static_cast<std::size_t>(length)), pid);
    return length >= 0;
  }

  Result<void> look_at_files(int process, pid_t pid, const std::string& shown) {
    const Fd files(openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!files) return judge(errno, shown);
    auto listed = list_directory(files.get(), shown, [&](const char* name, unsigned char) {
      (void)look_at_link(files.get(), name, pid); // or it is closed by now
    });
    return listed ? listed : judge(listed.error().code.value(), shown);
  }

  // "7f..-7f.. r-xp 00000000 08:01 1234   /path": the path is what follows the first slash.
  Result<void> look_at_mappings(int process, pid_t pid, const std::string& shown) {
    constexpr std::size_t most = 64U << 20U;
    const auto maps = read_file_at(process, "maps", shown, most);
    if (!maps)
      return judge(maps.error().outcome() == Outcome::no ? EACCES : maps.error().code.value(), shown);
    std::string_view rest = *maps;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (const std::size_t slash = line.find('/'); slash != std::string_view::npos)
        look_at_path(line.substr(slash), pid);
    }
    return {};
  }

  // ESRCH and ENOENT: it has ended; a kernel thread runs no file. ENAMETOOLONG: anybody's process may be
  // where the kernel cannot tell, and must not keep all releases by that.
  Result<void> judge(int error_number, const std::string& shown) {
    if (error_number == EACCES || error_number == EPERM || error_number == ENAMETOOLONG) denied_ = true;
    if (denied_ || error_number == ENOENT || error_number == ESRCH) return {};
    return fail_errno(shown, "cannot see what it uses", error_number);
  }

  bool denied_ = false;
  std::string below_;
  std::set<std::string, std::less<>> names_;
};

std::optional<pid_t> read_pid(std::string_view name) {
  pid_t pid = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) return std::nullopt;
  return pid;
}

} // namespace

Result<InUse> find_in_use(int directory, const std::vector<std::string>& names) {
  const std::string path = path_of(directory);
  if (path.empty()) return fail_errno("/proc/self/fd", "cannot tell where the releases are");
  Search search(path, names);
  const Fd proc(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!proc) return fail_errno("/proc", "cannot open");
  Result<void> looked;
  auto listed = list_directory(proc.get(), "/proc", [&](const char* name, unsigned char) {
    // Our own descriptors are of no consequence.
    if (const auto pid = read_pid(name); pid && *pid != getpid() && looked)
      looked = search.look_at(proc.get(), *pid);
  });
  if (!listed) return forward_error(listed);
  if (!looked) return forward_error(looked);
  return std::move(search.found);
}

} // namespace safe_deploy
