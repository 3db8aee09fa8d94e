#include "checks/status_ranges.hpp"

#include "name.hpp"
#include "quantity.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

Result<StatusRanges::Range> StatusRanges::parse_range(std::string_view text) {
  const std::size_t dash = std::min(text.find('-'), text.size());
  const auto low = parse_count(text.substr(0, dash), 100, 599);
  const auto high = dash == text.size() ? low : parse_count(text.substr(dash + 1), 100, 599);
  if (!low || !high || *low > *high)
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 40)),
                "is not a status code or a range of them (such as 200-299,404)");
  return Range{static_cast<long>(*low), static_cast<long>(*high)};
}

Result<StatusRanges> StatusRanges::parse(std::string_view text) {
  std::vector<Range> ranges;
  for (const std::string_view part : split_list(text)) {
    auto range = parse_range(part);
    if (!range) return forward_error(range);
    ranges.push_back(*range);
  }
  return StatusRanges(std::string(text), std::move(ranges));
}

bool StatusRanges::contain(long status) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [=](const Range& range) { return status >= range.low && status <= range.high; });
}

} // namespace safe_deploy
