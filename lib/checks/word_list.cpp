#include "checks/word_list.hpp"

#include "name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace safe_deploy {

Result<std::size_t> parse_word(std::string_view text, std::span<const std::string_view> words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  std::string all;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) all += i + 1 == words.size() ? " and " : ", ";
    all += words[i];
  }
  return fail(Outcome::usage, fmt::format("'{}'", printable(text, 40)), "is none of " + all);
}

} // namespace safe_deploy
