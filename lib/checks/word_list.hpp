#pragma once

#include "error.hpp"

#include <cstddef>
#include <span>
#include <string_view>

namespace safe_deploy {

// Which of the words a value is: its index. Outcome::usage if it is none of them.
Result<std::size_t> parse_word(std::string_view text, std::span<const std::string_view> words);

// The same for Values::parsed().
inline auto one_of(std::span<const std::string_view> words) {
  return [words](std::string_view text) { return parse_word(text, words); };
}

} // namespace safe_deploy
