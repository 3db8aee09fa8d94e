#include "file.hpp"

#include "directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace safe_deploy {

namespace {

// The errno of what failed.
tl::expected<void, int> write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::unexpected<int>(errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// Keeps blocks for the file up to `size`, which does not change its length. Passed over where that cannot be
// done.
Result<void> keep_blocks(int fd, std::size_t from, std::size_t size, const std::string& shown) {
  if (fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(size)) == 0 ||
      errno == EOPNOTSUPP)
    return {};
  return fail_errno(shown, "no room is left to record how this would end");
}

Result<void> write_and_sync(int fd, std::string_view content, mode_t mode, const std::string& shown) {
  if (fchmod(fd, mode) < 0) return fail_errno(shown, "cannot set the mode of");
  if (auto written = write_all(fd, content); !written)
    return fail_errno(shown, "cannot write", written.error());
  if (fsync(fd) < 0) return fail_errno(shown, "cannot sync to disk");
  return {};
}

Result<void> write_new(int directory, const std::string& name, const std::string& shown,
                       std::string_view content, mode_t mode, std::size_t room) {
  const Fd file(openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file) return fail_errno(shown, "cannot create");
  if (room > 0) (void)keep_blocks(file.get(), 0, room, shown); // it may be the spare one some day
  return write_and_sync(file.get(), content, mode, shown);
}

// The spare file takes the place of the other one. It is not cut, since that would give its blocks away.
Result<void> write_spare(int directory, const std::string& spare, const std::string& name,
                         const std::string& shown, std::string content, mode_t mode) {
  const Fd file(openat(directory, spare.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!file || fstat(file.get(), &status) < 0) return fail_errno(shown, "cannot write", ENOSPC);
  content.resize(std::max(content.size(), static_cast<std::size_t>(status.st_size)), '\n');
  if (auto written = write_and_sync(file.get(), content, mode, shown); !written) return written;
  if (renameat2(directory, spare.c_str(), directory, name.c_str(), RENAME_EXCHANGE) == 0) return {};
  // There is nothing to exchange it with, or the file system cannot do that.
  if (renameat(directory, spare.c_str(), directory, name.c_str()) == 0) return {};
  return fail_errno(shown, "cannot replace");
}

} // namespace

bool is_full(const Error& error) {
  return error.code == std::errc::no_space_on_device ||
         error.code == std::error_code(EDQUOT, std::system_category());
}

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

Result<void> keep_spare_at(int directory, const Spare& spare, const std::string& shown) {
  const Fd file(
      openat(directory, spare.name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  struct stat status {};
  if (!file || fstat(file.get(), &status) < 0)
    return fail_errno(shown, "no room is left to record how this would end");
  if (static_cast<std::size_t>(status.st_blocks) * 512 >= spare.size)
    return {}; // st_blocks: of 512 bytes (stat(3type))
  return keep_blocks(file.get(), 0, spare.size, shown);
}

Result<void> replace_file_at(int directory, const std::string& name, const std::string& shown,
                             std::string_view content, mode_t mode, const Spare& spare) {
  // Always the same temporary name: a left-over of a crash is written over, never piled up.
  const std::string temporary = fmt::format(".{}.new", name);
  (void)unlinkat(directory, temporary.c_str(), 0);
  auto written = write_new(directory, temporary, shown, content, mode, spare.size);
  if (written && renameat(directory, temporary.c_str(), directory, name.c_str()) < 0)
    written = fail_errno(shown, "cannot replace");
  if (!written) (void)unlinkat(directory, temporary.c_str(), 0);
  if (!written && is_full(written.error()) && !spare.name.empty())
    written = write_spare(directory, spare.name, name, shown, std::string(content), mode);
  if (!written) return written;
  if (auto synced = sync_directory(directory, shown); !synced) return synced;
  auto back = read_file_at(directory, name, shown, std::max(content.size(), spare.size) + 65536);
  if (!back) return forward_error(back);
  if (!std::string_view(*back).starts_with(content))
    return fail_errno(shown, "does not hold what was written", EIO);
  return {};
}

Result<off_t> append_line_at(int directory, const std::string& name, const std::string& shown,
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
  auto written = write_all(file.get(), text);
  if (written && fsync(file.get()) < 0) written = tl::unexpected<int>(errno);
  if (written) return size;
  (void)!ftruncate(file.get(), size); // half a line is no line
  return fail_errno(shown, "cannot write", written.error());
}

void cut_file_at(int directory, const std::string& name, off_t length) {
  const Fd file(openat(directory, name.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file) (void)!ftruncate(file.get(), length);
}

Result<void> keep_room_at(int directory, const std::string& name, const std::string& shown, std::size_t size,
                          mode_t mode) {
  const Fd file(
      openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode));
  struct stat status {};
  if (!file || fstat(file.get(), &status) < 0)
    return fail_errno(shown, "no room is left to record how this would end");
  const auto held = static_cast<std::size_t>(status.st_size);
  if (static_cast<std::size_t>(status.st_blocks) * 512 >= held + size) return {};
  return keep_blocks(file.get(), held, size, shown);
}

Result<void> lock_file(int fd, const std::string& shown, const Deadline& deadline) {
  while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno(shown, "cannot lock");
    if (deadline.has_passed()) return fail(Outcome::busy, shown, "is locked by another process");
    std::this_thread::sleep_for(std::chrono::milliseconds(5)); // there is no event for it
  }
  return {};
}

} // namespace safe_deploy
