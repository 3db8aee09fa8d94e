#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

// White space and lists in what people write. White space is spaces and tabs: other control characters are
// refused before.
namespace safe_deploy {

inline constexpr std::string_view white_space = " \t";

constexpr bool is_white_space(char c) {
  return white_space.find(c) != std::string_view::npos;
}

// Without white space at its ends.
constexpr std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(white_space);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(white_space) - begin + 1);
}

// The parts between the commas, trimmed; some may be empty. The text must outlive them.
inline std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = std::min(text.find(','), text.size());
    parts.push_back(trim(text.substr(0, end)));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

} // namespace safe_deploy
