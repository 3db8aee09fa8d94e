#include "words.hpp"

#include "text.hpp"

#include <optional>

namespace safe_deploy {

Result<std::vector<std::string>> split_words(std::string_view text) {
  constexpr std::string_view escaped_in_quotes = "\"\\$`";
  std::vector<std::string> words;
  std::optional<std::string> word; // '' is a word, too
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool escapes =
        c == '\\' && quote != '\'' &&
        (quote == 0 || escaped_in_quotes.find(text.substr(i + 1, 1)) != std::string_view::npos);
    if (quote == 0 && is_white_space(c)) {
      if (word) words.push_back(std::move(*word));
      word.reset();
      continue;
    }
    if (!word) word.emplace();
    if (escapes && i + 1 == text.size())
      return fail(Outcome::usage, "", "ends with a backslash that has nothing behind it to escape");
    if (escapes)
      *word += text[++i];
    else if (quote == 0 ? c == '\'' || c == '"' : c == quote)
      quote = quote == 0 ? c : '\0';
    else
      *word += c;
  }
  if (quote != 0)
    return fail(Outcome::usage, "", std::string("holds a quote (") + quote + ") that is not closed");
  if (word) words.push_back(std::move(*word));
  return words;
}

} // namespace safe_deploy
