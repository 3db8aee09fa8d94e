#include "checks/file_system.hpp"

#include "quantity.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>

namespace safe_deploy {

namespace {

std::optional<Usage> usage(std::uint64_t all, std::uint64_t free, std::uint64_t available) {
  const double used = static_cast<double>(all - std::min(free, all));
  const double usable = used + static_cast<double>(available);
  if (all == 0 || usable <= 0) return std::nullopt;
  return Usage{100 * used / usable, static_cast<double>(available)};
}

} // namespace

std::string format_used(double percent) {
  return format_number(std::ceil(percent * 10) / 10);
}

PathLook<FileSystem> look_at_file_system(std::string path) {
  return {std::move(path),
          [](const char* at, FileSystem& figures) { return statvfs(at, &figures) < 0 ? errno : 0; }};
}

std::optional<Usage> usage_of_blocks(const FileSystem& figures) {
  auto blocks = usage(figures.f_blocks, figures.f_bfree, figures.f_bavail);
  if (blocks) blocks->available *= static_cast<double>(figures.f_frsize);
  return blocks;
}

std::optional<Usage> usage_of_inodes(const FileSystem& figures) {
  return usage(figures.f_files, figures.f_ffree, figures.f_favail);
}

} // namespace safe_deploy
