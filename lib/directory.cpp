#include "directory.hpp"

#include "name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace safe_deploy {

namespace {

// As many as the kernel follows (path_resolution(7)).
constexpr int most_links = 40;

bool only_root_can_have_put(const struct stat& link, const struct stat& directory) {
  if (directory.st_uid != 0) return false;
  const bool others_may_write = (directory.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool is_sticky = (directory.st_mode & S_ISVTX) != 0;
  return !others_may_write || (is_sticky && link.st_uid == 0);
}

// What is still to be walked, the next component last.
using Components = std::vector<std::string>;

void put_before(Components& ahead, std::string_view path) {
  Components parts;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  ahead.insert(ahead.end(), parts.rbegin(), parts.rend());
}

Fd open_start(std::string_view path) {
  return Fd(open(path.starts_with('/') ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// The text of the symlink that `link` stands for, where root may follow it from `directory`.
Result<std::string> text_to_follow(int directory, int link, const struct stat& status,
                                   const std::string& path, const std::string& component) {
  struct stat above {};
  if (fstat(directory, &above) < 0) return fail_errno(path, "cannot look at");
  if (!only_root_can_have_put(status, above))
    return fail(
        Outcome::no, path,
        fmt::format("is reached through '{}', a symlink that others than root can have put there: name the "
                    "place that it leads to, if it is right",
                    printable(component)));
  std::array<char, PATH_MAX> text;
  const ssize_t length = readlinkat(link, "", text.data(), text.size());
  if (length < 0) return fail_errno(path, "cannot read a symlink on the way to");
  return std::string(text.data(), static_cast<std::size_t>(length));
}

Result<Fd> walk(const std::string& path) {
  Components ahead;
  put_before(ahead, path);
  Fd at = open_start(path);
  for (int links = 0; at && !ahead.empty();) {
    const std::string component = std::move(ahead.back());
    ahead.pop_back();
    Fd next(openat(at.get(), component.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!next || fstat(next.get(), &status) < 0) return fail_errno(path, "cannot open the directory");
    if (!S_ISLNK(status.st_mode)) {
      at = std::move(next);
      continue;
    }
    if (++links > most_links) return fail_errno(path, "cannot open the directory", ELOOP);
    auto text = text_to_follow(at.get(), next.get(), status, path, component);
    if (!text) return forward_error(text);
    if (text->starts_with('/')) at = open_start("/");
    put_before(ahead, *text);
  }
  Fd directory(at ? openat(at.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1);
  if (!directory) return fail_errno(path, "cannot open the directory");
  return directory;
}

} // namespace

Result<Fd> open_directory(const std::string& path) {
  if (geteuid() == 0 && !path.empty()) return walk(path);
  Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(path, "cannot open the directory");
  return directory;
}

Fd open_subdirectory(int directory, const std::string& name) {
  return Fd(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

Result<void> list_directory(int directory, const std::string& shown,
                            const std::function<void(const char*, unsigned char)>& each) {
  struct CloseDirectory {
    void operator()(DIR* stream) const { (void)closedir(stream); }
  };
  // A description of its own: its position is moved.
  Fd own(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseDirectory> stream(own ? fdopendir(own.get()) : nullptr);
  if (!stream) return fail_errno(shown, "cannot list");
  (void)own.release();
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr && errno != 0) return fail_errno(shown, "cannot list");
    if (entry == nullptr) return {};
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") each(entry->d_name, entry->d_type);
  }
}

namespace {

// Empties a directory from the top: what is in its subdirectories is moved up, so that depth costs nothing.
class Emptying {
 public:
  Emptying(int top, std::string shown) : top_(top), shown_(std::move(shown)) {}

  // Goes on while there is progress: others may write into it meanwhile.
  Result<void> all() {
    do {
      progress_ = false;
      failure_.reset();
      if (auto listed =
              list_directory(top_, shown_, [this](const char* name, unsigned char) { remove(name); });
          !listed)
        return listed;
    } while (progress_);
    if (failure_) return tl::unexpected<Error>(std::move(*failure_));
    return {};
  }

 private:
  // Whether it is gone; otherwise errno says why not: ENOTEMPTY for a directory that is not empty.
  bool remove_alone(int at, const char* name) {
    if (unlinkat(at, name, 0) < 0 && (errno != EISDIR || unlinkat(at, name, AT_REMOVEDIR) < 0)) return false;
    progress_ = true;
    return true;
  }

  void note(const char* problem, const char* name) {
    if (!failure_ && errno != ENOENT)
      failure_ = fail_errno(fmt::format("{}/{}", shown_, printable(name)), problem).value();
  }

  void remove(const char* name) {
    if (remove_alone(top_, name)) return;
    if (errno != ENOTEMPTY) return note("cannot be deleted", name);
    const Fd sub = open_subdirectory(top_, name);
    if (!sub) return note("cannot be opened", name);
    const std::string path = fmt::format("{}/{}", shown_, printable(name));
    const auto listed = list_directory(sub.get(), path, [&](const char* inner, unsigned char) {
      if (remove_alone(sub.get(), inner)) return;
      const int error_number = errno;
      const std::string shown = fmt::format("{}/{}", name, inner);
      errno = error_number;
      if (errno != ENOTEMPTY) return note("cannot be deleted", shown.c_str());
      move_up(sub.get(), inner, shown.c_str());
    });
    if (!listed && !failure_) failure_ = listed.error();
    if (!remove_alone(top_, name)) note("cannot be deleted", name);
  }

  void move_up(int sub, const char* name, const char* shown) {
    // Another one of this name may be there, from a try that was cut short; an empty one may as well be
    // replaced.
    for (int tries = 0; tries < 1000; ++tries) {
      if (renameat(sub, name, top_, fmt::format(".safe-deploy-{}", ++moved_).c_str()) == 0) {
        progress_ = true;
        return;
      }
      if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) break;
    }
    note("cannot be moved", shown);
  }

  int top_;
  std::string shown_;
  unsigned moved_ = 0;
  bool progress_ = false;
  std::optional<Error> failure_;
};

} // namespace

Result<void> remove_tree_at(int directory, const std::string& name, const std::string& shown) {
  if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR) return fail_errno(shown, "cannot be deleted");
  const Fd top = open_subdirectory(directory, name);
  if (!top && errno != ENOENT) return fail_errno(shown, "cannot be opened");
  auto emptied = top ? Emptying(top.get(), shown).all() : Result<void>();
  // Two may be at it at the same time, and one of them ends first.
  if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (!emptied) return emptied;
  return fail_errno(shown, "cannot be deleted");
}

std::string path_of(int fd) {
  std::array<char, PATH_MAX> path;
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
  return length < 0 ? std::string() : std::string(path.data(), static_cast<std::size_t>(length));
}

bool says_missing(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP ||
         error_number == ENAMETOOLONG;
}

Result<bool> exists_beneath(int directory, const std::string& path, const std::string& shown) {
  const Fd found(openat(directory, path.c_str(), O_PATH | O_CLOEXEC));
  if (!found && says_missing(errno)) return false;
  if (!found) return fail_errno(shown, "cannot look at");
  const std::string top = path_of(directory);
  if (top.empty()) return fail_errno(shown, "cannot tell where it is");
  const std::string place = path_of(found.get());
  if (place.empty()) return fail_errno(shown, "cannot tell where it is");
  return place.starts_with(top + "/");
}

Result<void> make_durable_directory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) < 0) {
    if (errno == EEXIST) return {};
    return fail_errno(path, "cannot create the directory");
  }
  auto above = open_directory(path + "/..");
  if (!above) return forward_error(above);
  return sync_directory(above->get(), path);
}

Result<void> sync_directory(int directory, const std::string& shown) {
  if (fsync(directory) < 0) return fail_errno(shown, "cannot sync its directory to disk");
  return {};
}

} // namespace safe_deploy
