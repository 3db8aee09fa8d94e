#pragma once

#include "checks/path_look.hpp"

#include <sys/statvfs.h>

#include <optional>
#include <string>

namespace safe_deploy {

// What statvfs(3) tells of the file system that holds a path.
using FileSystem = struct statvfs;

PathLook<FileSystem> look_at_file_system(std::string path);

// How much of something is used, as df(1) tells it: what only root may use counts neither as used nor as
// available.
struct Usage {
  double used_percent;
  double available;
};

// With one digit behind the point, rounded up: what is above a limit reads so.
std::string format_used(double percent);

// Nothing where the file system does not count (there is none of it).
std::optional<Usage> usage_of_blocks(const FileSystem& figures); // available: bytes
std::optional<Usage> usage_of_inodes(const FileSystem& figures);

} // namespace safe_deploy
