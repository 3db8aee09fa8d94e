#include "releases.hpp"

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
#include <memory>

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

Fd open_release(int directory, const std::string& release) {
  return Fd(openat(directory, release.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

bool same_directory(int directory, const std::string& path) {
  struct stat ours {};
  struct stat theirs {};
  return fstat(directory, &ours) == 0 && stat(path.c_str(), &theirs) == 0 && ours.st_dev == theirs.st_dev &&
         ours.st_ino == theirs.st_ino;
}

std::string request_path(const std::string& run_dir, const std::string& app, const std::string& name) {
  return fmt::format("{}/{}/{}", run_dir, app, name);
}

} // namespace

Result<Releases> Releases::open(const Config& config) {
  if (auto set = config.needs_releases(); !set) return forward_error(set);
  Releases releases(config);
  auto directory = open_directory(config.releases);
  if (!directory) return forward_error(directory);
  releases.directory_ = std::move(*directory);

  Fd to_list(openat(releases.directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct CloseDirectory {
    void operator()(DIR* stream) const { (void)closedir(stream); }
  };
  const std::unique_ptr<DIR, CloseDirectory> stream(to_list ? fdopendir(to_list.get()) : nullptr);
  if (!stream) return fail_errno(config.releases, "cannot list");
  (void)to_list.release();
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    if (may_be_release(entry->d_name, config.pattern) &&
        is_directory(releases.directory_.get(), entry->d_name, entry->d_type))
      releases.names_.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return fail_errno(config.releases, "cannot list");
  std::sort(releases.names_.begin(), releases.names_.end(),
            [](const std::string& a, const std::string& b) { return strverscmp(a.c_str(), b.c_str()) < 0; });
  return releases;
}

bool Releases::contains(const std::string& release) const {
  return std::find(names_.begin(), names_.end(), release) != names_.end();
}

std::optional<std::string> Releases::lacks(const std::string& release) const {
  const Fd directory = open_release(directory_.get(), release);
  if (!directory) return "its directory";
  for (const auto& path : require_)
    if (!exists_beneath(directory.get(), path)) return path;
  return std::nullopt;
}

bool Releases::is_irreversible(const std::string& release) const {
  const Fd directory = open_release(directory_.get(), release);
  struct stat status {};
  return directory && fstatat(directory.get(), ".irreversible", &status, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<std::string> Releases::named_by(const std::string& link) const {
  auto target = read_link(link);
  if (!target) return forward_error(target);
  if (!*target) return std::string();
  const std::string path = without_trailing_slashes(resolve_target(link, **target));
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);
  if (!same_directory(directory_.get(), path.substr(0, std::max<std::size_t>(slash, 1))))
    return std::string();
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
  const Fd directory = open_release(directory_.get(), release);
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
std::optional<std::string> drawback(const Releases& releases, const State& state,
                                    const std::string& release) {
  if (const auto record = state.releases.find(release);
      record != state.releases.end() && record->second.verdict == Mark::bad)
    return fmt::format("{} is bad{}{}", release, record->second.reason.empty() ? "" : ": ",
                       record->second.reason);
  if (const auto missing = releases.lacks(release))
    return fmt::format("{} is incomplete: it lacks {}", release, *missing);
  return std::nullopt;
}

} // namespace

Result<std::string> newest_deployable(const Releases& releases, const State& state,
                                      const std::string& current) {
  std::string passed_over;
  for (auto name = releases.names().rbegin(); name != releases.names().rend(); ++name) {
    const auto why_not = drawback(releases, state, *name);
    if (why_not && passed_over.empty()) passed_over = "; " + *why_not;
    if (why_not) continue;
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
  const auto fits = [&](const std::string& name) {
    return name != left && state.is(name, Mark::good) && !releases.lacks(name);
  };
  if (!previous.empty() && releases.contains(previous) && fits(previous)) return previous;
  const auto found = std::find_if(releases.names().rbegin(), releases.names().rend(), fits);
  if (found != releases.names().rend()) return *found;
  return fail(Outcome::no, "", "no good release to roll back to");
}

Result<bool> has_request(const std::string& run_dir, const std::string& app, const std::string& name) {
  auto text = read_link(request_path(run_dir, app, name));
  if (!text) return forward_error(text);
  return text->has_value();
}

Result<std::optional<std::string>> read_request(const std::string& run_dir, const Config& config,
                                                const std::string& name) {
  const std::string path = request_path(run_dir, config.app, name);
  auto text = read_link(path);
  if (!text) return forward_error(text);
  if (!*text) return std::nullopt;
  std::string_view asked = **text;
  const std::string below = config.releases + "/";
  if (asked.starts_with(below)) asked.remove_prefix(below.size());
  auto release = parse_release_name(asked);
  if (!release) return fail(Outcome::no, path, release.error().text());
  return *release;
}

void drop_request(const std::string& run_dir, const std::string& app, const std::string& name) {
  (void)unlink(request_path(run_dir, app, name).c_str());
}

} // namespace safe_deploy
