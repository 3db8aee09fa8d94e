#include "releases.hpp"

#include "directory.hpp"
#include "file.hpp"
#include "link.hpp"
#include "name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace safe_deploy {

namespace {

bool may_be_release(const std::string& name, const std::string& pattern) {
  return !name.starts_with('.') && !name.ends_with(".partial") && !name.ends_with(".tmp") &&
         fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0 && parse_release_name(name).has_value();
}

bool is_directory(int directory, const char* name, unsigned char type) {
  if (type != DT_UNKNOWN) return type == DT_DIR;
  struct stat status {};
  return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

// The order of version numbers, and of bytes where that makes no difference. What follows a '~' comes before
// the end, as for sort -V and deb-version(7): 1.10~rc1 is older than 1.10.
bool comes_before(const std::string& a, const std::string& b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  const bool a_precedes = in_a != a.end() && *in_a == '~';
  const bool b_precedes = in_b != b.end() && *in_b == '~';
  if (a_precedes || b_precedes) return a_precedes;
  const int order = strverscmp(a.c_str(), b.c_str());
  return order != 0 ? order < 0 : a < b;
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// An errno where that cannot be known.
tl::expected<bool, int> same_directory(int directory, const std::string& path) {
  struct stat ours {};
  struct stat theirs {};
  if (fstat(directory, &ours) < 0) return tl::unexpected<int>(errno);
  if (stat(path.c_str(), &theirs) < 0)
    return says_missing(errno) ? tl::expected<bool, int>(false) : tl::unexpected<int>(errno);
  return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

} // namespace

Result<Releases> Releases::open(const Config& config) {
  if (auto set = config.needs_releases(); !set) return forward_error(set);
  Releases releases(config);
  auto directory = open_directory(config.releases);
  if (!directory) return forward_error(directory);
  releases.directory_ = std::move(*directory);

  auto listed = list_directory(releases.fd(), config.releases, [&](const char* name, unsigned char type) {
    if (may_be_release(name, config.pattern) && is_directory(releases.fd(), name, type))
      releases.names_.emplace_back(name);
  });
  if (!listed) return forward_error(listed);
  std::sort(releases.names_.begin(), releases.names_.end(), comes_before);
  return releases;
}

bool Releases::contains(const std::string& release) const {
  return std::binary_search(names_.begin(), names_.end(), release, comes_before);
}

bool Releases::is_before(const std::string& release, const std::string& other) {
  return comes_before(release, other);
}

Result<std::optional<std::string>> Releases::lacks(const std::string& release) const {
  const Fd directory = open_subdirectory(fd(), release);
  const std::string shown = fmt::format("{}/{}", path_, release);
  if (!directory && says_missing(errno)) return "its directory";
  if (!directory) return fail_errno(shown, "cannot open");
  for (const auto& path : require_) {
    auto exists = exists_beneath(directory.get(), path, fmt::format("{}/{}", shown, path));
    if (!exists) return forward_error(exists);
    if (!*exists) return path;
  }
  return std::nullopt;
}

Result<bool> Releases::is_irreversible(const std::string& release) const {
  const Fd directory = open_subdirectory(fd(), release);
  struct stat status {};
  if (directory && fstatat(directory.get(), ".irreversible", &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (says_missing(errno)) return false;
  return fail_errno(fmt::format("{}/{}/.irreversible", path_, release), "cannot look at");
}

Result<std::string> Releases::named_by(const std::string& link) const {
  auto target = read_link(link);
  if (!target) return forward_error(target);
  if (!*target) return std::string();
  const std::string path = without_trailing_slashes(resolve_target(link, **target));
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);
  const auto ours = same_directory(directory_.get(), path.substr(0, std::max<std::size_t>(slash, 1)));
  if (!ours) return fail_errno(link, "cannot look at where it leads", ours.error());
  if (!*ours) return std::string();
  return parse_release_name(name) ? name : std::string();
}

Result<std::string> Releases::target_for(const std::string& release) const {
  auto now = read_link(link_);
  if (!now) return forward_error(now);
  const std::string beside = link_directory(link_);
  const std::string releases = without_trailing_slashes(path_);
  const bool absolute_now = *now && (*now)->starts_with('/');
  if (!absolute_now && releases == beside) return release;
  if (!absolute_now && releases.starts_with(beside + "/"))
    return fmt::format("{}/{}", releases.substr(beside.size() + 1), release);
  return fmt::format("{}/{}", releases, release);
}

Result<void> Releases::sync(const std::string& release) const {
  const Fd directory = open_subdirectory(fd(), release);
  if (!directory) return fail_errno(fmt::format("{}/{}", path_, release), "cannot open");
  if (syncfs(directory.get()) < 0)
    return fail_errno(fmt::format("{}/{}", path_, release), "cannot sync to disk");
  return {};
}

std::string previous_link(const Config& config) {
  return resolve_target(config.link, "previous");
}

namespace {

// Why a release is not chosen by itself, or nothing.
Result<std::optional<std::string>> drawback(const Releases& releases, const State& state,
                                            const std::string& release) {
  if (const auto record = state.releases.find(release);
      record != state.releases.end() && record->second.verdict == Mark::bad)
    return fmt::format("{} is bad{}{}", release, record->second.reason.empty() ? "" : ": ",
                       record->second.reason);
  auto missing = releases.lacks(release);
  if (!missing) return forward_error(missing);
  if (*missing) return fmt::format("{} is incomplete: it lacks {}", release, **missing);
  return std::nullopt;
}

} // namespace

Result<std::string> newest_deployable(const Releases& releases, const State& state,
                                      const std::string& current) {
  std::string passed_over;
  for (auto name = releases.names().rbegin(); name != releases.names().rend(); ++name) {
    auto why_not = drawback(releases, state, *name);
    if (!why_not) return forward_error(why_not);
    if (*why_not && passed_over.empty()) passed_over = "; " + **why_not;
    if (*why_not) continue;
    // Who asks for the newest one and gets what runs already must not believe that all is well.
    if (*name == current && state.phase == Phase::idle && !passed_over.empty())
      return fail(Outcome::no, "",
                  fmt::format("nothing newer than {} can be deployed{}", current, passed_over));
    return *name;
  }
  return fail(Outcome::no, "", "no release to deploy" + passed_over);
}

Result<std::string> rollback_target(const Releases& releases, const State& state, const std::string& previous,
                                    const std::string& left) {
  std::vector<std::string> names(releases.names().rbegin(), releases.names().rend());
  // What the record says of the candidate comes before a link that others may have moved.
  for (const auto& first : {previous, state.has_candidate() ? state.from : std::string()})
    if (!first.empty() && releases.contains(first)) names.insert(names.begin(), first);
  for (const auto& name : names) {
    if (name == left || !state.is(name, Mark::good)) continue;
    auto missing = releases.lacks(name);
    if (!missing) return forward_error(missing);
    if (!*missing) return name;
  }
  return fail(Outcome::no, "", "no good release to roll back to");
}

} // namespace safe_deploy
