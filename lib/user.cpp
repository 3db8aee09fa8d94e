#include "user.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>

namespace safe_deploy {

namespace {

// A group with many members needs much; what needs more than this is no entry to believe in.
constexpr std::size_t most_entry = std::size_t{1} << 20U;

// getpwnam_r(3) and getgrnam_r(3) want the memory for the strings from the caller, and say ERANGE where it is
// too little.
template <class Entry, class Key, class Find, class Take>
auto find_entry(const char* what, const std::string& name, Key key, Find find, Take take)
    -> Result<decltype(take(Entry{}))> {
  std::vector<char> strings(1024);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = find(key, &entry, strings.data(), strings.size(), &found);
    if (error == ERANGE && strings.size() < most_entry) {
      strings.resize(strings.size() * 4);
      continue;
    }
    if (error == EINTR) continue;
    if (found != nullptr) return take(entry); // while its strings are there
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

// The calls for 32-bit ids have other names where the first ones were for 16-bit ids.
#ifdef SYS_setresuid32
constexpr long set_groups = SYS_setgroups32, set_gids = SYS_setresgid32, set_uids = SYS_setresuid32;
#else
constexpr long set_groups = SYS_setgroups, set_gids = SYS_setresgid, set_uids = SYS_setresuid;
#endif

} // namespace

UserPtr find_local_user(const std::function<bool(const passwd& entry)>& is_wanted) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/etc/passwd", "re"), std::fclose);
  if (!file) return nullptr;
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> texts{};
  while (fgetpwent_r(file.get(), &entry, texts.data(), texts.size(), &found) == 0)
    if (is_wanted(*found))
      return std::make_shared<const User>(User{found->pw_name, found->pw_uid, found->pw_gid, {}});
  return nullptr;
}

UserPtr unprivileged_user() {
  if (geteuid() != 0) return nullptr;
  // It is made by sysusers, in this very file.
  return find_local_user([](const passwd& entry) {
    return entry.pw_name == std::string_view("_safe-deploy") && entry.pw_uid != 0;
  });
}

Result<UserPtr> find_user(const std::string& name) {
  const auto as_user = [](const passwd& entry) {
    User user{entry.pw_name, entry.pw_uid, entry.pw_gid, {}};
    int count = 0; // how many there are, also where that is more than there was room for
    (void)getgrouplist(entry.pw_name, entry.pw_gid, nullptr, &count);
    user.groups.resize(static_cast<std::size_t>(count));
    (void)getgrouplist(entry.pw_name, entry.pw_gid, user.groups.data(), &count);
    user.groups.resize(std::min(user.groups.size(), static_cast<std::size_t>(count)));
    return std::make_shared<const User>(std::move(user));
  };
  if (const auto number = as_number(name))
    return find_entry<passwd>("user", name, *number, getpwuid_r, as_user);
  return find_entry<passwd>("user", name, name.c_str(), getpwnam_r, as_user);
}

Result<uid_t> find_user_id(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  return find_entry<passwd>("user", name, name.c_str(), getpwnam_r,
                            [](const passwd& entry) { return entry.pw_uid; });
}

Result<gid_t> find_group_id(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  return find_entry<group>("group", name, name.c_str(), getgrnam_r,
                           [](const group& entry) { return entry.gr_gid; });
}

Result<void> become_on_this_thread(const User& user) {
  const auto refused = [&] { return fail_errno(user.name, "cannot become this user"); };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return refused();
  if (syscall(SYS_geteuid) == static_cast<long>(user.uid)) return {};
  if (syscall(set_groups, user.groups.size(), user.groups.data()) < 0) return refused();
  if (syscall(set_gids, user.gid, user.gid, user.gid) < 0) return refused();
  if (syscall(set_uids, user.uid, user.uid, user.uid) < 0) return refused();
  return {};
}

} // namespace safe_deploy
