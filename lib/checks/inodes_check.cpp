#include "checks/inodes_check.hpp"

#include "checks/path_values.hpp"
#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

namespace safe_deploy {

Answer InodesCheck::ask(const Deadline& deadline) {
  const auto figures = look_.see(deadline);
  if (!figures) return figures.error();
  const std::string path = printable(look_.path());
  const auto inodes = usage_of_inodes(*figures);
  if (!inodes) return Answer::skipped("no-count", path + ": its file system has no limit of inodes");
  const bool full = inodes->used_percent > used_max_;
  const std::string sentence = fmt::format("{}: {}% of the inodes used, at most {}% allowed, {} available",
                                           path, format_used(inodes->used_percent), format_number(used_max_),
                                           static_cast<std::uint64_t>(inodes->available));
  Answer answer = full ? Answer::no("full", sentence) : Answer::yes(sentence);
  answer.figures = {{"inodes-used", inodes->used_percent, "%"}, {"inodes-available", inodes->available, ""}};
  return answer;
}

Result<std::shared_ptr<Check>> make_inodes_check(const Values& values) {
  auto path = values.parsed("inodes", parse_absolute_path, std::string());
  if (!path) return forward_error(path);
  auto used_max = values.parsed("used-max", parse_percent, 90.0);
  if (!used_max) return forward_error(used_max);
  return std::make_shared<InodesCheck>(std::move(*path), *used_max);
}

} // namespace safe_deploy
