#include "escapes.hpp"

#include "name.hpp"

#include <fmt/format.h>

#include <charconv>

namespace safe_deploy {

namespace {

constexpr std::string_view letters = "rnt\\0";
constexpr std::string_view meanings("\r\n\t\\\0", 5);

} // namespace

Result<std::string> parse_escapes(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find('\\'), text.size());
    bytes += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const std::size_t letter = text.size() > 1 ? letters.find(text[1]) : std::string_view::npos;
    if (letter != std::string_view::npos) {
      bytes += meanings[letter];
      text.remove_prefix(2);
      continue;
    }
    const std::string_view digits = text.size() < 4 ? std::string_view() : text.substr(2, 2);
    std::uint8_t byte = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.empty() || text[1] != 'x' || parsed.ptr != digits.data() + 2)
      return fail(Outcome::usage, fmt::format("'{}'", printable(text, 20)),
                  "begins with no escape that there is: \\r, \\n, \\t, \\\\, \\0 and \\xNN");
    bytes += static_cast<char>(byte);
    text.remove_prefix(4);
  }
  return bytes;
}

std::string quote_for_escapes(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted;
}

} // namespace safe_deploy
