#include "name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// The length of the UTF-8 sequence at the front of `text`, or 0 if there is none (RFC 3629, section 4).
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  if (length == 0 || text.size() < length) return 0;
  const unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  return length;
}

// U+0080 to U+009F, of which a terminal takes U+009B as it takes ESC [.
bool is_c1_control(std::string_view text) {
  return text.size() >= 2 && text[0] == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0;
}

} // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "...";
    const std::size_t length = utf8_sequence(text);
    if (length == 0 || is_control(text.front()) || is_c1_control(text)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

Result<std::string> parse_app_name(std::string_view text) {
  const auto allowed = [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '.' || c == '@' || c == '-';
  };
  if (text.empty() || text.size() > 128 || !is_alphanumeric(text.front()) ||
      !std::all_of(text.begin(), text.end(), allowed))
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 40)),
                "is not an app's name (letters, digits and _.@-, the first a letter or digit, at most 128)");
  return std::string(text);
}

Result<std::string> parse_release_name(std::string_view text) {
  const bool file_name = !text.empty() && text.size() <= 255 && text != "." && text != ".." &&
                         text.find('/') == std::string_view::npos && text.front() != '-';
  if (!file_name || !is_utf8(text) || printable(text, text.size()) != text)
    return fail(
        Outcome::usage, fmt::format("'{}'", printable(text, 80)),
        "is not a release's name (one directory name, without '/', a leading '-' or control characters)");
  return std::string(text);
}

Result<std::string> parse_unit_name(std::string_view text) {
  constexpr std::array<std::string_view, 11> types{"service", "socket",    "target", "device",
                                                   "mount",   "automount", "swap",   "timer",
                                                   "path",    "slice",     "scope"};
  constexpr std::string_view punctuation = ":-_.\\@";
  const auto allowed = [&](char c) {
    return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
  };
  const std::size_t dot = text.rfind('.');
  const std::size_t at = text.find('@');
  const bool shape = dot != std::string_view::npos && dot > 0 && text.size() <= 255 && at != 0 &&
                     std::all_of(text.begin(), text.end(), allowed) &&
                     std::find(types.begin(), types.end(), text.substr(dot + 1)) != types.end();
  if (!shape)
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 80)),
                "is not a unit's name (such as demo.service)");
  if (at != std::string_view::npos && at + 1 == dot)
    return fail(Outcome::usage, fmt::format("'{}'", text),
                "is a template, and not a unit: it has no instance");
  return std::string(text);
}

} // namespace safe_deploy
