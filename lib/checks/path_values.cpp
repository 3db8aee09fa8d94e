#include "checks/path_values.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

namespace safe_deploy {

namespace {

// A group with many members needs much; what needs more than this is no entry to believe in.
constexpr std::size_t most_entry = std::size_t{1} << 20U;

// getpwnam_r(3) and getgrnam_r(3) want the memory for the strings from the caller, and say ERANGE where it is
// too little.
template <class Entry, class Find>
Result<Entry> find_entry(const char* what, const std::string& name, Find find) {
  std::vector<char> strings(1024);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = find(name.c_str(), &entry, strings.data(), strings.size(), &found);
    if (error == ERANGE && strings.size() < most_entry) {
      strings.resize(strings.size() * 4);
      continue;
    }
    if (error == EINTR) continue;
    if (found != nullptr) return entry;
    // getpwnam(3) names these, too, as what is said of a name that there is not.
    if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM)
      return fail(Outcome::no, "", fmt::format("there is no {} '{}'", what, printable(name, 40)));
    return fail_errno(fmt::format("{} '{}'", what, printable(name, 40)), "cannot be looked up", error);
  }
}

// -1 stands for "none" (chown(2)).
std::optional<std::uint32_t> as_number(const std::string& name) {
  const auto number = parse_count(name, 0, UINT32_MAX - 1);
  if (!number) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

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

Result<uid_t> find_user(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  auto entry = find_entry<passwd>("user", name, getpwnam_r);
  if (!entry) return forward_error(entry);
  return entry->pw_uid;
}

Result<gid_t> find_group(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  auto entry = find_entry<group>("group", name, getgrnam_r);
  if (!entry) return forward_error(entry);
  return entry->gr_gid;
}

} // namespace safe_deploy
