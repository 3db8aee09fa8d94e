#pragma once

#include "error.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

// Outcome::usage where it is not absolute.
Result<std::string> parse_absolute_path(std::string_view text);

// Permission bits with set-user-ID, set-group-ID and sticky bit, in octal: "0640". Outcome::usage.
Result<mode_t> parse_file_mode(std::string_view text);

// Whom a file is to belong to, as chown(1) takes it: "postgres", "postgres:postgres", ":adm", "0:0". The
// names are not looked up.
struct FileOwner {
  std::string user = {}; // either may be empty: anybody
  std::string group = {};

  static Result<FileOwner> parse(std::string_view text); // Outcome::usage
};

} // namespace safe_deploy
