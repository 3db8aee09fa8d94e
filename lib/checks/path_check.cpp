#include "checks/path_check.hpp"

#include "checks/word_list.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "user.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <ctime>

namespace safe_deploy {

namespace {

constexpr std::size_t symlink_type = 4;

// The index in path_types, if it is in there.
std::optional<std::size_t> type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 0;
    case S_IFDIR:
      return 1;
    case S_IFSOCK:
      return 2;
    case S_IFIFO:
      return 3;
    case S_IFLNK:
      return symlink_type;
    case S_IFCHR:
    case S_IFBLK:
      return 5;
    default:
      return std::nullopt;
  }
}

std::string_view name_of_type(mode_t mode) {
  const auto type = type_of(mode);
  return type ? path_types[*type] : "something else";
}

// Whether others may change what is in there.
bool is_open_to_all(mode_t mode) {
  if ((mode & S_IWOTH) == 0) return false;
  return S_ISREG(mode) || (S_ISDIR(mode) && (mode & S_ISVTX) == 0);
}

// Negative where it is in the future. As a double: a file's time may be any number.
double seconds_since(const timespec& time) {
  timespec now{};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) - static_cast<double>(time.tv_sec) +
         static_cast<double>(now.tv_nsec - time.tv_nsec) / 1e9;
}

std::string format_seconds(double seconds) {
  constexpr double longest = 1e10; // three hundred years
  return format_duration(Duration(std::llround(std::min(seconds, longest) * 1e6)));
}

} // namespace

PathCheck::PathCheck(PathQuestion question)
    : question_(std::move(question)),
      shown_(printable(question_.path)),
      look_(question_.path, question_.type == symlink_type ? look_at_symlink : look) {}

// --- in the other process

int PathCheck::look_at_symlink(const char* path, Seen& seen) {
  return lstat(path, &seen.status) < 0 ? errno : 0;
}

int PathCheck::look(const char* path, Seen& seen) {
  if (stat(path, &seen.status) == 0) return 0;
  const int error_number = errno;
  if (error_number != ENOENT || lstat(path, &seen.status) < 0) return error_number;
  seen.dangling = S_ISLNK(seen.status.st_mode); // otherwise it was made just now
  return 0;
}

// --- in the tool

Answer PathCheck::ask(const Deadline& deadline) {
  const auto seen = look_.see(deadline);
  if (!seen) return seen.error();
  if (seen->dangling)
    return Answer::no("missing", fmt::format("{}: is a symlink to something that does not exist", shown_));
  if (auto wrong = judge_type(*seen)) return *wrong;
  if (auto wrong = judge_owner(seen->status)) return *wrong;
  if (auto wrong = judge_mode(seen->status)) return *wrong;
  return judge_age(seen->status);
}

std::optional<Answer> PathCheck::judge_type(const Seen& seen) const {
  if (!question_.type || type_of(seen.status.st_mode) == question_.type) return std::nullopt;
  return Answer::no("type", fmt::format("{}: is a {}, not a {}", shown_, name_of_type(seen.status.st_mode),
                                        path_types[*question_.type]));
}

std::optional<Answer> PathCheck::judge_owner(const struct stat& status) const {
  const auto& [user, group] = question_.owner;
  if (!user.empty())
    if (auto wrong = judge_id("uid", user, find_user_id(user), status.st_uid)) return wrong;
  if (!group.empty()) return judge_id("gid", group, find_group_id(group), status.st_gid);
  return std::nullopt;
}

std::optional<Answer> PathCheck::judge_id(const char* what, const std::string& name,
                                          const Result<std::uint32_t>& wanted, std::uint32_t found) const {
  if (!wanted && wanted.error().outcome() != Outcome::no)
    return Answer::skipped("unreadable", fmt::format("{}: {}", shown_, wanted.error().text()));
  if (!wanted) return Answer::no("owner", fmt::format("{}: {}", shown_, wanted.error().text()));
  if (*wanted == found) return std::nullopt;
  const std::string number = std::to_string(*wanted);
  return Answer::no("owner", fmt::format("{}: belongs to {} {}, not to {}", shown_, what, found,
                                         name == number ? number : fmt::format("{} ({})", name, number)));
}

std::optional<Answer> PathCheck::judge_mode(const struct stat& status) const {
  const mode_t mode = status.st_mode & 07777U;
  if (question_.mode) {
    if (mode == *question_.mode) return std::nullopt;
    return Answer::no("mode",
                      fmt::format("{}: its mode is {:04o}, not {:04o}", shown_, mode, *question_.mode));
  }
  if (question_.world_writable || !is_open_to_all(status.st_mode)) return std::nullopt;
  return Answer::no("world-writable", fmt::format("{}: everybody may write to this {} (mode {:04o})", shown_,
                                                  name_of_type(status.st_mode), mode));
}

Answer PathCheck::judge_age(const struct stat& status) const {
  const std::string found =
      fmt::format("{}: a {} of {}:{}, mode {:04o}", shown_, name_of_type(status.st_mode), status.st_uid,
                  status.st_gid, status.st_mode & 07777U);
  if (!question_.age_max) return Answer::yes(found);
  const double since = seconds_since(status.st_mtim);
  const double age = std::max(since, 0.0);
  const std::string allowed = format_duration(*question_.age_max);
  const bool old = age > std::chrono::duration<double>(*question_.age_max).count();
  Answer answer =
      old ? Answer::no("age", fmt::format("{}: was modified {} ago, at most {} allowed", shown_,
                                          format_seconds(age), allowed))
          : Answer::yes(
                since < 0
                    ? fmt::format("{}, modified {} in the future (counts as now), at most {} ago allowed",
                                  found, format_seconds(-since), allowed)
                    : fmt::format("{}, modified {} ago, at most {} allowed", found, format_seconds(age),
                                  allowed));
  answer.figures = {{"age", age, "s"}};
  return answer;
}

Result<std::shared_ptr<Check>> make_path_check(const Values& values) {
  PathQuestion question;
  auto path = values.parsed("path", parse_absolute_path, std::string());
  if (!path) return forward_error(path);
  question.path = std::move(*path);
  if (values.has("type")) {
    auto type = values.parsed("type", one_of(path_types), std::size_t{0});
    if (!type) return forward_error(type);
    question.type = *type;
  }
  auto owner = values.parsed("owner", FileOwner::parse, FileOwner{});
  if (!owner) return forward_error(owner);
  question.owner = std::move(*owner);
  if (values.has("mode")) {
    auto mode = values.parsed("mode", parse_file_mode, mode_t{0});
    if (!mode) return forward_error(mode);
    question.mode = *mode;
    if (question.type == symlink_type)
      return values.wrong(
          "mode", Error{"", "says nothing of a symlink, whose mode is always 0777", Outcome::bad_config});
  }
  if (values.has("age-max")) {
    auto age_max = values.parsed("age-max", parse_duration, Duration::zero());
    if (!age_max) return forward_error(age_max);
    question.age_max = *age_max;
  }
  auto world_writable = values.parsed("world-writable", parse_boolean, false);
  if (!world_writable) return forward_error(world_writable);
  question.world_writable = *world_writable;
  return std::make_shared<PathCheck>(std::move(question));
}

} // namespace safe_deploy
