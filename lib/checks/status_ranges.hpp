#pragma once

#include "error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// Which HTTP status codes are welcome: "200-299,404".
class StatusRanges {
 public:
  // 100 to 599. Outcome::usage.
  static Result<StatusRanges> parse(std::string_view text);
  // 2xx.
  static StatusRanges success() { return StatusRanges("200-299", {{200, 299}}); }

  [[nodiscard]] bool contain(long status) const;
  // As it was written.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  struct Range {
    long low, high;
  };
  StatusRanges(std::string text, std::vector<Range> ranges)
      : text_(std::move(text)), ranges_(std::move(ranges)) {}
  static Result<Range> parse_range(std::string_view text);

  std::string text_;
  std::vector<Range> ranges_;
};

} // namespace safe_deploy
