#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/path_look.hpp"
#include "checks/path_values.hpp"
#include "checks/values.hpp"

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

inline constexpr std::array<std::string_view, 6> path_types{"file", "directory", "socket",
                                                            "fifo", "symlink",   "device"};

struct PathQuestion {
  std::string path;
  std::optional<std::size_t> type = {}; // one of path_types, by its index
  FileOwner owner = {};
  std::optional<mode_t> mode = {}; // exactly these bits
  std::optional<Duration> age_max = {};
  bool world_writable = false; // that everybody may write is right
};

// Whether a path exists, and is what it should be. Symlinks are followed, but where a symlink is asked for.
// Reasons, in this order: "missing" (also a symlink to nothing), "type", "owner", "mode", "world-writable",
// "age", and those of cannot_see(). Unless `mode` says so, it is no good when everybody may write to a file
// or replace what is in a directory (of one that is sticky only what is one's own). Who may write to a
// socket, a FIFO or a device may use it and no more; and a symlink's own mode means nothing (symlink(7)).
class PathCheck final : public Check {
 public:
  explicit PathCheck(PathQuestion question);

  Answer ask(const Deadline& deadline) override;

 private:
  struct Seen {
    struct stat status;
    bool dangling; // the status is the symlink's own
  };
  static int look(const char* path, Seen& seen);
  static int look_at_symlink(const char* path, Seen& seen);

  [[nodiscard]] std::optional<Answer> judge_type(const Seen& seen) const;
  [[nodiscard]] std::optional<Answer> judge_owner(const struct stat& status) const;
  [[nodiscard]] std::optional<Answer> judge_id(const char* what, const std::string& name,
                                               const Result<std::uint32_t>& wanted,
                                               std::uint32_t found) const;
  [[nodiscard]] std::optional<Answer> judge_mode(const struct stat& status) const;
  [[nodiscard]] Answer judge_age(const struct stat& status) const;

  PathQuestion question_;
  std::string shown_;
  PathLook<Seen> look_;
};

// path = PATH, type, owner, mode, age-max, world-writable.
inline constexpr KindKey path_keys[] = {
    {"path", judge::absolute_path},
    {"type", judge::word<path_types>},
    {"owner", judge::file_owner},
    {"mode", judge::file_mode},
    {"age-max", judge::positive_duration},
    {.name = "world-writable", .judge = judge::yes_or_no, .otherwise = "no"},
};
inline constexpr Explanation path_explained{
    "A file that the app needs may be missing, unreadable for it, outdated, or open to everybody's changes; "
    "the app finds out in the middle of its start, or its users do.",
    "See 'stat PATH' and 'namei -l PATH'; make or repair it with 'install -o USER -g GROUP -m MODE', and see "
    "who should have renewed it."};
Result<std::shared_ptr<Check>> make_path_check(const Values& values);

} // namespace safe_deploy
