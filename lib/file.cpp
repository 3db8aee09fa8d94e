#include "file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <thread>

namespace safe_deploy {

namespace {

Result<void> write_all(int fd, std::string_view content, const std::string& shown) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(shown, "cannot write");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fsync(fd) < 0) return fail_errno(shown, "cannot sync to disk");
  return {};
}

// Where an open file is, without symlinks; empty where /proc does not tell.
std::string path_of(int fd) {
  std::array<char, PATH_MAX> path;
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
  return length < 0 ? std::string() : std::string(path.data(), static_cast<std::size_t>(length));
}

} // namespace

Result<std::string> read_file_at(int directory, const std::string& name, const std::string& shown,
                                 std::size_t limit) {
  const Fd file(openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return fail_errno(shown, "cannot open");
  struct stat status {};
  if (fstat(file.get(), &status) < 0) return fail_errno(shown, "cannot look at");
  if (!S_ISREG(status.st_mode)) return fail(Outcome::no, shown, "is not a regular file");
  std::string content;
  for (;;) {
    const std::size_t before = content.size();
    content.resize(before + 16384);
    const ssize_t got = read(file.get(), content.data() + before, content.size() - before);
    content.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(shown, "cannot read");
    if (content.size() > limit) return fail(Outcome::no, shown, "is too large");
    if (got == 0) return content;
  }
}

Result<void> replace_file_at(int directory, const std::string& name, const std::string& shown,
                             std::string_view content, mode_t mode) {
  // Always the same temporary name: a left-over of a crash is written over, never piled up.
  const std::string temporary = fmt::format(".{}.new", name);
  (void)unlinkat(directory, temporary.c_str(), 0);
  {
    const Fd file(
        openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!file) return fail_errno(shown, "cannot create");
    if (fchmod(file.get(), mode) < 0) return fail_errno(shown, "cannot set the mode of");
    if (auto written = write_all(file.get(), content, shown); !written) {
      (void)unlinkat(directory, temporary.c_str(), 0);
      return written;
    }
  }
  if (renameat(directory, temporary.c_str(), directory, name.c_str()) < 0) {
    const int error_number = errno;
    (void)unlinkat(directory, temporary.c_str(), 0);
    return fail_errno(shown, "cannot replace", error_number);
  }
  if (auto synced = sync_directory(directory, shown); !synced) return synced;
  auto back = read_file_at(directory, name, shown, content.size());
  if (!back) return forward_error(back);
  if (*back != content) return fail_errno(shown, "does not hold what was written", EIO);
  return {};
}

Result<void> append_line_at(int directory, const std::string& name, const std::string& shown,
                            std::string_view line, mode_t mode) {
  const Fd file(openat(directory, name.c_str(),
                       O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode));
  if (!file) return fail_errno(shown, "cannot open");
  std::string text;
  const off_t size = lseek(file.get(), 0, SEEK_END);
  if (size < 0) return fail_errno(shown, "cannot append to");
  char last = '\n';
  if (size > 0 && pread(file.get(), &last, 1, size - 1) < 0) return fail_errno(shown, "cannot read");
  if (last != '\n') text = "\n";
  text += line;
  text += '\n';
  if (auto written = write_all(file.get(), text, shown); !written) {
    (void)!ftruncate(file.get(), size); // half a line is no line
    return written;
  }
  return {};
}

Result<Fd> open_directory(const std::string& path) {
  Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(path, "cannot open the directory");
  return directory;
}

bool exists_beneath(int directory, const std::string& path) {
  // Not by openat2(2) with RESOLVE_BENEATH: systemd's RestrictSUIDSGID= lets it fail with ENOSYS.
  const Fd found(openat(directory, path.c_str(), O_PATH | O_CLOEXEC));
  if (!found) return false;
  const std::string top = path_of(directory);
  return !top.empty() && path_of(found.get()).starts_with(top + "/");
}

Result<void> lock_file(int fd, const std::string& shown, const Deadline& deadline) {
  while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno(shown, "cannot lock");
    if (deadline.has_passed()) return fail(Outcome::busy, shown, "is locked by another process");
    std::this_thread::sleep_for(std::chrono::milliseconds(5)); // there is no event for it
  }
  return {};
}

Result<void> sync_directory(int directory, const std::string& shown) {
  if (fsync(directory) < 0) return fail_errno(shown, "cannot sync the directory of");
  return {};
}

} // namespace safe_deploy
