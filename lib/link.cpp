#include "link.hpp"

#include "directory.hpp"
#include "fd.hpp"
#include "file.hpp"
#include "name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <climits>
#include <memory>
#include <string_view>
#include <vector>

namespace safe_deploy {

namespace {

std::string link_name(const std::string& link) {
  const std::size_t slash = link.rfind('/');
  return slash == std::string::npos ? link : link.substr(slash + 1);
}

// ".NAME.safe-deploy.PID": hidden, ours to see, and a release to nobody.
std::string temporary_prefix(const std::string& name) {
  return fmt::format(".{}.safe-deploy.", name);
}

bool is_left_over(std::string_view file, std::string_view prefix) {
  if (!file.starts_with(prefix)) return false;
  const std::string_view digits = file.substr(prefix.size());
  pid_t pid = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size() || pid <= 0) return false;
  return pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH);
}

Result<std::optional<std::string>> read_link_at(int directory, const std::string& name,
                                                const std::string& shown) {
  std::vector<char> buffer(PATH_MAX);
  const ssize_t length = readlinkat(directory, name.c_str(), buffer.data(), buffer.size());
  if (length >= 0) return std::string(buffer.data(), static_cast<std::size_t>(length));
  if (errno == ENOENT) return std::nullopt;
  if (errno != EINVAL) return fail_errno(shown, "cannot read the link");
  struct stat status {};
  const bool directory_there =
      fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
  return fail(Outcome::no, shown,
              directory_there ? "is a directory, not a symlink" : "is a file, not a symlink");
}

void remove_left_overs(int directory, const std::string& name) {
  const std::string prefix = temporary_prefix(name);
  // What cannot be listed has nothing that could be removed.
  (void)list_directory(directory, "", [&](const char* file, unsigned char type) {
    if ((type == DT_LNK || type == DT_UNKNOWN) && is_left_over(file, prefix) &&
        read_link_at(directory, file, file).has_value())
      (void)unlinkat(directory, file, 0);
  });
}

// Changes the owner of the symlink that was just made, and of nothing else: where the directory is
// somebody's, its name may stand for another file by now. -1 with errno.
int give_to(int directory, const std::string& name, const std::string& target, const struct stat& owner) {
  const Fd made(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!made || fstat(made.get(), &status) < 0) return -1;
  std::vector<char> text(PATH_MAX);
  const ssize_t length = S_ISLNK(status.st_mode) ? readlinkat(made.get(), "", text.data(), text.size()) : -1;
  if (length < 0 || status.st_nlink != 1 ||
      std::string_view(text.data(), static_cast<std::size_t>(length)) != target) {
    errno = EEXIST;
    return -1;
  }
  return fchownat(made.get(), "", owner.st_uid, owner.st_gid, AT_EMPTY_PATH);
}

} // namespace

std::string link_directory(const std::string& link) {
  const std::size_t slash = link.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : link.substr(0, slash);
}

std::string resolve_target(const std::string& link, const std::string& target) {
  if (target.starts_with('/')) return target;
  return fmt::format("{}/{}", link_directory(link), target);
}

Result<std::optional<std::string>> read_link(const std::string& link) {
  return read_link_at(AT_FDCWD, link, link);
}

Result<void> point_link(const std::string& link, const std::string& target, bool durable) {
  const std::string name = link_name(link);
  if (name.empty() || name == "." || name == "..")
    return fail(Outcome::usage, fmt::format("'{}'", link), "is not a link's path");
  auto directory = open_directory(link_directory(link));
  if (!directory) return forward_error(directory);
  auto before = read_link_at(directory->get(), name, link);
  if (!before) return forward_error(before);
  struct stat owner {};
  if (*before && fstatat(directory->get(), name.c_str(), &owner, AT_SYMLINK_NOFOLLOW) < 0)
    return fail_errno(link, "cannot look at");

  remove_left_overs(directory->get(), name);
  const std::string temporary = temporary_prefix(name) + std::to_string(getpid());
  if (symlinkat(target.c_str(), directory->get(), temporary.c_str()) < 0)
    return fail_errno(link, "cannot create the new symlink beside it");
  const auto undo = [&](const char* problem) {
    auto failed = fail_errno(link, problem);
    (void)unlinkat(directory->get(), temporary.c_str(), 0);
    return failed;
  };
  // Only who may change owners can give a link away: not a user, and not root in the sandbox of our units.
  // For them it is simply theirs now, which takes nothing away: who may replace a link is up to its
  // directory.
  const bool give_away = *before && geteuid() == 0 && (owner.st_uid != 0 || owner.st_gid != 0);
  if (give_away && give_to(directory->get(), temporary, target, owner) < 0 && errno != EPERM)
    return undo("cannot keep the owner of");
  // rename(2): the new link is there or the old one, at every instant; a directory in the way is EISDIR.
  if (renameat(directory->get(), temporary.c_str(), directory->get(), name.c_str()) < 0)
    return undo("cannot replace");
  // Who may write to the directory may have put another link in the place of ours.
  auto after = read_link_at(directory->get(), name, link);
  if (!after) return forward_error(after);
  if (*after != target) return fail(Outcome::os_error, link, "was changed by another process just now");
  if (durable) return sync_directory(directory->get(), link);
  return {};
}

Result<void> exchange_links(const std::string& link, const std::string& other, bool durable) {
  auto directory = open_directory(link_directory(link));
  if (!directory) return forward_error(directory);
  for (const auto& each : {link, other}) {
    auto text = read_link_at(directory->get(), link_name(each), each);
    if (!text) return forward_error(text);
    if (!*text) return fail_errno(each, "cannot exchange", ENOENT);
  }
  if (renameat2(directory->get(), link_name(link).c_str(), directory->get(), link_name(other).c_str(),
                RENAME_EXCHANGE) < 0)
    return fail_errno(link, "cannot exchange with " + other);
  if (durable) return sync_directory(directory->get(), link);
  return {};
}

Result<void> remove_link(const std::string& link, bool durable) {
  auto directory = open_directory(link_directory(link));
  if (!directory) return forward_error(directory);
  auto before = read_link_at(directory->get(), link_name(link), link);
  if (!before) return forward_error(before);
  if (*before && unlinkat(directory->get(), link_name(link).c_str(), 0) < 0)
    return fail_errno(link, "cannot remove");
  if (durable) return sync_directory(directory->get(), link);
  return {};
}

namespace {

// Writes what the link will lead to to disk, before the link that survives a power loss leads there.
Result<void> sync_target(const std::string& path) {
  const Fd place(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (!place) return errno == ENOENT ? Result<void>{} : fail_errno(path, "cannot open to sync it");
  if (fstat(place.get(), &status) < 0) return fail_errno(path, "cannot look at");
  // To open a device or a FIFO is to do something to it.
  if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) return {};
  const Fd target(open(fmt::format("/proc/self/fd/{}", place.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!target) return fail_errno(path, "cannot open to sync it");
  if (syncfs(target.get()) < 0) return fail_errno(path, "cannot sync to disk");
  return {};
}

// Held until the end of the change. Two compare-and-swaps of one directory come one after the other.
Result<Fd> lock_directory(const std::string& path) {
  auto directory = open_directory(path);
  if (!directory) return directory;
  // Whoever may open the directory can hold this lock: it is not waited for without an end.
  if (auto locked = lock_file(directory->get(), path, Deadline::after(std::chrono::seconds(10))); !locked)
    return forward_error(locked);
  return directory;
}

Result<void> restore_link(const std::string& link, const std::optional<std::string>& text, bool durable) {
  return text ? point_link(link, *text, durable) : remove_link(link, durable);
}

} // namespace

Result<Moved> change_link(const LinkChange& change) {
  if (change.target.empty()) return fail(Outcome::usage, "TARGET", "is empty");
  if (change.save && *change.save == change.link)
    return fail(Outcome::usage, "--save", "names the link itself");
  if (resolve_target(change.link, change.target) == change.link ||
      (change.target == link_name(change.link) && change.link.find('/') == std::string::npos))
    return fail(Outcome::no, change.link, "would lead to itself");
  Fd lock;
  if (change.expect) {
    auto locked = lock_directory(link_directory(change.link));
    if (!locked) return forward_error(locked);
    lock = std::move(*locked);
  }
  auto before = read_link(change.link);
  if (!before) return forward_error(before);
  Moved moved{change.link, before->value_or(""), change.target, "", *before != change.target};
  if (change.expect && *before != *change.expect)
    return fail(Outcome::no, change.link,
                *before ? fmt::format("points at {}, not at {}", printable(**before), *change.expect)
                        : fmt::format("does not exist, so it does not point at {}", *change.expect));
  const std::string target = resolve_target(change.link, change.target);
  if (struct stat status{}; !change.allow_dangling && stat(target.c_str(), &status) < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return fail(Outcome::no, target, "does not exist");
    return fail_errno(target, "cannot look at");
  }
  if (change.dry_run || !moved.changed) return moved;
  if (change.durable)
    if (auto synced = sync_target(target); !synced) return forward_error(synced);
  std::optional<std::string> saved_before;
  if (change.save && *before) {
    auto text = read_link(*change.save);
    if (!text) return forward_error(text);
    saved_before = *std::move(text);
    // Kept as seen from where the second link is.
    const bool beside = link_directory(*change.save) == link_directory(change.link);
    const std::string saved = beside ? **before : resolve_target(change.link, **before);
    if (auto kept = point_link(*change.save, saved, change.durable); !kept) {
      (void)restore_link(*change.save, saved_before, change.durable);
      return forward_error(kept);
    }
  }
  if (auto pointed = point_link(change.link, change.target, change.durable); !pointed) {
    // Where the link is as it was, the second one is to be so, too.
    const auto now = read_link(change.link);
    if (change.save && *before && now && *now == *before)
      (void)restore_link(*change.save, saved_before, change.durable);
    return forward_error(pointed);
  }
  return moved;
}

} // namespace safe_deploy
