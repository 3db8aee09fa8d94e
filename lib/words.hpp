#pragma once

#include "error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// The words of a command line, parted by white space as a shell parts them (POSIX, "Quoting"), and nothing
// else of a shell: '...' is taken as it stands, in "..." a backslash escapes only " \ $ and `, elsewhere it
// escapes the character behind it. Outcome::usage, with a sentence that repeats nothing of the text, which
// may hold secrets: a quote that is not closed, a backslash with nothing behind it.
Result<std::vector<std::string>> split_words(std::string_view text);

} // namespace safe_deploy
