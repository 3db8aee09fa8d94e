#include "checks/disk_check.hpp"

#include "quantity.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <cstring>

namespace safe_deploy {

Answer DiskCheck::ask(const Deadline&) {
  struct statvfs disk {};
  if (statvfs(path_.c_str(), &disk) < 0)
    return {.verdict = Verdict::skipped,
            .reason = "unreadable",
            .sentence = fmt::format("{}: {}", path_, std::strerror(errno))};
  // The blocks that only root may use count neither as used nor as available.
  const auto block = static_cast<double>(disk.f_frsize);
  const double used = static_cast<double>(disk.f_blocks - disk.f_bfree) * block;
  const double available = static_cast<double>(disk.f_bavail) * block;
  if (used + available <= 0)
    return {.verdict = Verdict::skipped,
            .reason = "no-blocks",
            .sentence = fmt::format("{}: its file system counts no blocks", path_)};
  const double percent = 100 * used / (used + available);
  const bool full = percent > used_max_;
  return {.verdict = full ? Verdict::no : Verdict::yes,
          .reason = full ? "full" : "ok",
          .sentence = fmt::format("{}: {:.1f}% used, at most {:g}% allowed, {} available", path_, percent,
                                  used_max_, format_size(static_cast<std::uint64_t>(available))),
          .figures = {{"disk-used", percent, "%"}, {"disk-available", available, "B"}}};
}

Result<std::shared_ptr<Check>> make_disk_check(const Values& values) {
  auto path = values.text("disk");
  if (!path) return forward_error(path);
  auto used_max = values.parsed("used-max", parse_percent, 80.0);
  if (!used_max) return forward_error(used_max);
  return std::make_shared<DiskCheck>(std::move(*path), *used_max);
}

} // namespace safe_deploy
