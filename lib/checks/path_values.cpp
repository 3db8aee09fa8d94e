#include "checks/path_values.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace safe_deploy {

namespace {

bool is_name(std::string_view text) {
  return text.size() <= 255 && std::none_of(text.begin(), text.end(), [](char c) {
           return c == ':' || c == '/' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
         });
}

} // namespace

Result<std::string> parse_absolute_path(std::string_view text) {
  if (text.starts_with('/')) return std::string(text);
  return fail(Outcome::usage, fmt::format("'{}'", printable(text, 80)), "is not an absolute path");
}

Result<mode_t> parse_file_mode(std::string_view text) {
  mode_t mode = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, mode, 8);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != end || mode > 07777)
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 40)),
                "is not a mode in octal (such as 0640)");
  return mode;
}

Result<FileOwner> FileOwner::parse(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view group = text.substr(std::min(colon + 1, text.size()));
  // "postgres:" means the user's login group for chown(1), which is easily overlooked.
  if (!is_name(text.substr(0, colon)) || !is_name(group) ||
      (group.empty() && (colon < text.size() || colon == 0)))
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 80)),
                "is none of USER, USER:GROUP and :GROUP");
  return FileOwner{std::string(text.substr(0, colon)), std::string(group)};
}

} // namespace safe_deploy
