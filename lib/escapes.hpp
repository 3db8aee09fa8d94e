#pragma once

#include "error.hpp"

#include <string>
#include <string_view>

namespace safe_deploy {

// The bytes that a text with escapes stands for: \r, \n, \t, \\, \0, and \xNN for any byte. Outcome::usage
// for another escape.
Result<std::string> parse_escapes(std::string_view text);

// The text written so that parse_escapes() gives it back.
std::string quote_for_escapes(std::string_view text);

} // namespace safe_deploy
