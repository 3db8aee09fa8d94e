#include "checks/disk_check.hpp"

#include "checks/path_values.hpp"
#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

namespace safe_deploy {

Answer DiskCheck::ask(const Deadline& deadline) {
  const auto figures = look_.see(deadline);
  if (!figures) return figures.error();
  const std::string path = printable(look_.path());
  const auto blocks = usage_of_blocks(*figures);
  if (!blocks) return Answer::skipped("no-count", path + ": its file system counts no blocks");
  const bool full = blocks->used_percent > used_max_;
  const std::string sentence =
      fmt::format("{}: {}% used, at most {}% allowed, {} available", path, format_used(blocks->used_percent),
                  format_number(used_max_), format_size(static_cast<std::uint64_t>(blocks->available)));
  Answer answer = full ? Answer::no("full", sentence) : Answer::yes(sentence);
  answer.figures = {{"disk-used", blocks->used_percent, "%"}, {"disk-available", blocks->available, "B"}};
  return answer;
}

Result<std::shared_ptr<Check>> make_disk_check(const Values& values) {
  auto path = values.parsed("disk", parse_absolute_path, std::string());
  if (!path) return forward_error(path);
  auto used_max = values.parsed("used-max", parse_percent, 80.0);
  if (!used_max) return forward_error(used_max);
  return std::make_shared<DiskCheck>(std::move(*path), *used_max);
}

} // namespace safe_deploy
