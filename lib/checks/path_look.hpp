#pragma once

#include "apart.hpp"
#include "check.hpp"

#include <tl/expected.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

namespace safe_deploy {

// The answer of a check that was not let see a path. Reasons: "missing", "timeout", "unreadable", and for
// what is skipped "permission", "process".
Answer cannot_see(const std::string& path, const Error& error, const Deadline& deadline);

// A look at a path by a process of its own. A file system that is dead (NFS without its server, FUSE without
// its daemon) holds whoever touches it in the kernel, where neither a signal nor the end of the tool gets him
// out.
template <class Seen>
class PathLook {
  static_assert(std::is_trivially_copyable_v<Seen>);

 public:
  // Looks in the other process: 0, or an errno.
  using Look = int (*)(const char* path, Seen& seen);

  PathLook(std::string path, Look look)
      : path_(std::move(path)), apart_([path = path_, look] {
          return [path, look](std::string_view) {
            Told told;
            told.error_number = look(path.c_str(), told.seen);
            return std::string(reinterpret_cast<const char*>(&told), sizeof told);
          };
        }) {}

  tl::expected<Seen, Answer> see(const Deadline& deadline) {
    const auto answer = apart_.ask("", deadline);
    if (!answer) return tl::unexpected(cannot_see(path_, answer.error(), deadline));
    Told told;
    std::memcpy(&told, answer->data(), std::min(answer->size(), sizeof told));
    if (told.error_number == 0) return told.seen;
    return tl::unexpected(cannot_see(
        path_, Error{path_, "cannot look", {told.error_number, std::system_category()}}, deadline));
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Told {
    int error_number = EIO;
    Seen seen = {};
  };

  std::string path_;
  Apart apart_;
};

} // namespace safe_deploy
