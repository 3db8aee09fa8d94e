#include "request.hpp"

#include "directory.hpp"
#include "fd.hpp"
#include "file.hpp"
#include "json.hpp"
#include "name.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <vector>

namespace safe_deploy {

namespace {

constexpr std::size_t asked_limit = 4096;
constexpr std::size_t name_limit = 64; // of what the asker tells of himself
constexpr std::size_t job_limit = 400;

std::string directory_path(const std::string& run_dir, const std::string& app) {
  return fmt::format("{}/{}", run_dir, app);
}

std::string asked_name(RequestKind kind) {
  return request_name(kind) + ".asked";
}

// Symlink and owner of one and the same file, whatever is put in its place meanwhile.
struct Left {
  std::string text;
  uid_t owner = 0;
};

// Nothing if there is no such file. Outcome::no if it is something else than a symlink.
Result<std::optional<Left>> read_left(int directory, const std::string& name, const std::string& shown) {
  const Fd link(openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!link && errno == ENOENT) return std::nullopt;
  if (!link || fstat(link.get(), &status) < 0) return fail_errno(shown, "cannot look at");
  if (S_ISDIR(status.st_mode)) return fail(Outcome::no, shown, "is a directory, not a symlink: remove it");
  if (!S_ISLNK(status.st_mode)) return fail(Outcome::no, shown, "is a file, not a symlink: remove it");
  // Under a second name it may be somebody's who asked for something else.
  if (status.st_nlink > 1) return fail(Outcome::no, shown, "has another name, too: remove it");
  std::vector<char> text(PATH_MAX);
  const ssize_t length = readlinkat(link.get(), "", text.data(), text.size());
  if (length < 0) return fail_errno(shown, "cannot read the link");
  return Left{std::string(text.data(), static_cast<std::size_t>(length)), status.st_uid};
}

// What he tells of himself, where the file is his as well and is about this very release.
void read_asked(int directory, RequestKind kind, Request& request) {
  const std::string name = asked_name(kind);
  const Fd file(openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || fstat(file.get(), &status) < 0) return;
  if (!S_ISREG(status.st_mode) || status.st_uid != *request.by.uid || status.st_nlink > 1) return;
  std::array<char, asked_limit + 1> buffer{};
  const ssize_t length = read(file.get(), buffer.data(), buffer.size());
  if (length < 0 || static_cast<std::size_t>(length) > asked_limit) return;
  const Json asked = parse_json(std::string(buffer.data(), static_cast<std::size_t>(length)));
  if (!asked.is_object()) return;
  std::string release;
  std::string sudo_user;
  std::string job;
  bool force = false;
  for (const auto& [key, value] : asked.items()) {
    std::string* text = key == "release"     ? &release
                        : key == "sudo_user" ? &sudo_user
                        : key == "job"       ? &job
                                             : nullptr;
    if (text != nullptr && value.is_string())
      *text = value.get<std::string>();
    else if (key == "force" && value.is_boolean())
      force = value.get<bool>();
    else
      return;
  }
  if (release != request.release) return;
  request.force = force && *request.by.uid == 0;
  request.by.sudo_user = printable(sudo_user, name_limit);
  request.by.job = printable(job, job_limit);
}

// A name beside `name` that nobody can have foreseen.
std::string temporary_name(const std::string& name) {
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) random = static_cast<std::uint64_t>(getpid());
  return fmt::format(".{}.{:016x}", name, random);
}

// Into the place of what is there. A directory that holds something is not emptied: its owner could fill it
// for ever.
Result<void> put_in_place(int directory, const std::string& temporary, const std::string& name,
                          const std::string& shown) {
  if (renameat(directory, temporary.c_str(), directory, name.c_str()) == 0) return {};
  int error = errno;
  if (error == EISDIR && unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) {
    if (renameat(directory, temporary.c_str(), directory, name.c_str()) == 0) return {};
    error = errno;
  }
  (void)unlinkat(directory, temporary.c_str(), 0);
  if (error == EPERM) return fail_errno(shown, "somebody else's request is there", error);
  return fail_errno(shown, "cannot leave a request", error);
}

Result<void> write_asked(int directory, RequestKind kind, const std::string& shown, const Request& request) {
  Json asked{{"release", request.release}};
  if (!request.by.sudo_user.empty()) asked["sudo_user"] = printable(request.by.sudo_user, name_limit);
  if (!request.by.job.empty()) asked["job"] = printable(request.by.job, job_limit);
  if (request.force) asked["force"] = true;
  const std::string text = to_text(asked);
  const std::string temporary = temporary_name(asked_name(kind));
  const Fd file(
      openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return fail_errno(shown, "cannot leave a request");
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    auto failed = fail_errno(shown, "cannot leave a request");
    (void)unlinkat(directory, temporary.c_str(), 0);
    return failed;
  }
  return put_in_place(directory, temporary, asked_name(kind), fmt::format("{}.asked", shown));
}

// A directory that is not empty is left to the units' ExecStopPost=: this is called with the record locked.
void remove_at(int directory, const std::string& name) {
  if (unlinkat(directory, name.c_str(), 0) < 0 && errno == EISDIR)
    (void)unlinkat(directory, name.c_str(), AT_REMOVEDIR);
}

} // namespace

std::string request_name(RequestKind kind) {
  return kind == RequestKind::deploy ? "next" : "rollback";
}

Result<std::optional<Request>> read_request(const std::string& run_dir, const Config& config,
                                            RequestKind kind) {
  const std::string path = directory_path(run_dir, config.app);
  auto directory = open_directory(path);
  if (!directory && directory.error().code == std::errc::no_such_file_or_directory) return std::nullopt;
  if (!directory) return forward_error(directory);
  const std::string shown = fmt::format("{}/{}", path, request_name(kind));
  auto left = read_left(directory->get(), request_name(kind), shown);
  if (!left) return forward_error(left);
  if (!*left) return std::nullopt;
  std::string_view asked = (*left)->text;
  const std::string below = config.releases + "/";
  if (asked.starts_with(below)) asked.remove_prefix(below.size());
  auto release = parse_release_name(asked);
  if (!release) return fail(Outcome::no, shown, release.error().text());
  Request request{.release = *std::move(release), .force = false, .by = {}};
  request.by.uid = (*left)->owner;
  request.by.user = user_name((*left)->owner);
  read_asked(directory->get(), kind, request);
  return request;
}

Result<bool> has_request(const std::string& run_dir, const std::string& app, RequestKind kind) {
  const std::string path = fmt::format("{}/{}", directory_path(run_dir, app), request_name(kind));
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) return true;
  if (says_missing(errno)) return false;
  return fail_errno(path, "cannot look at");
}

Result<void> make_request_directory(const std::string& run_dir, const std::string& app) {
  if (mkdir(run_dir.c_str(), 0755) < 0 && errno != EEXIST)
    return fail_errno(run_dir, "cannot create the directory");
  const std::string path = directory_path(run_dir, app);
  struct stat above {};
  if (stat(run_dir.c_str(), &above) < 0) return fail_errno(run_dir, "cannot look at");
  for (bool again = false;; again = true) {
    if (mkdir(path.c_str(), 0755) < 0 && errno != EEXIST)
      return fail_errno(path, "cannot create the directory");
    auto directory = open_directory(path);
    if (!directory) return forward_error(directory);
    struct stat status {};
    if (fstat(directory->get(), &status) < 0) return fail_errno(path, "cannot look at");
    // One that was made before RUN_DIR had its group; if it holds something, it stays as it is.
    if (!again && status.st_gid != above.st_gid && (above.st_mode & S_ISGID) != 0 && rmdir(path.c_str()) == 0)
      continue;
    // Not by mkdir(2), where the umask would take the group's right away. The group is that of RUN_DIR by its
    // setgid bit, which this directory does not need: nothing is made below it.
    constexpr mode_t mode = 01775;
    if ((status.st_mode & 07777U) != mode && fchmod(directory->get(), mode) < 0)
      return fail_errno(path, "cannot let the group write");
    return {};
  }
}

Result<void> leave_request(const std::string& run_dir, const std::string& app, RequestKind kind,
                           const Request& request) {
  if (geteuid() == 0)
    if (auto made = make_request_directory(run_dir, app); !made) return made;
  const std::string path = directory_path(run_dir, app);
  const Fd directory(open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return fail_errno(path, "cannot leave a request");
  const std::string name = request_name(kind);
  const std::string shown = fmt::format("{}/{}", path, name);
  if (auto written = write_asked(directory.get(), kind, shown, request); !written) return written;
  const std::string temporary = temporary_name(name);
  if (symlinkat(request.release.c_str(), directory.get(), temporary.c_str()) < 0)
    return fail_errno(shown, "cannot leave a request");
  return put_in_place(directory.get(), temporary, name, shown);
}

void drop_request(const std::string& run_dir, const std::string& app, RequestKind kind) {
  const std::string path = directory_path(run_dir, app);
  const Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return;
  remove_at(directory.get(), request_name(kind));
  remove_at(directory.get(), asked_name(kind));
}

} // namespace safe_deploy
