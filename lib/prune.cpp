#include "prune.hpp"

#include "directory.hpp"
#include "ledger.hpp"
#include "link.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "releases.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <iterator>
#include <string_view>

namespace safe_deploy {

namespace {

// ".NAME.safe-deploy-pruned": hidden, ours to see, and a release to nobody.
constexpr std::string_view aside_suffix = ".safe-deploy-pruned";

// The n-th try for a name that is free.
std::string aside_name(const std::string& release, unsigned n) {
  const std::string number = n == 0 ? "" : fmt::format(".{}", n);
  return fmt::format(".{}{}{}", release.substr(0, NAME_MAX - 1 - number.size() - aside_suffix.size()), number,
                     aside_suffix);
}

bool is_aside(std::string_view name) {
  return name.starts_with('.') && name.ends_with(aside_suffix);
}

// All that is aside in the directory, also from an earlier prune that was cut short.
void delete_asides(const Releases& releases, Pruned& pruned) {
  std::vector<std::string> names;
  auto listed = list_directory(releases.fd(), releases.path(), [&](const char* name, unsigned char) {
    if (is_aside(name)) names.emplace_back(name);
  });
  if (!listed) pruned.failures.push_back(listed.error());
  for (const auto& name : names)
    if (auto removed =
            remove_tree_at(releases.fd(), name, fmt::format("{}/{}", releases.path(), printable(name)));
        !removed)
      pruned.failures.push_back(removed.error());
}

bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// The apps whose releases are in the directory, `config`'s own among them.
Result<std::vector<const Config*>> who_shares(const Config& config, std::span<const Config> others,
                                              const Releases& releases) {
  struct stat ours {};
  if (fstat(releases.fd(), &ours) < 0) return fail_errno(releases.path(), "cannot look at");
  std::vector<const Config*> apps{&config};
  for (const auto& other : others) {
    if (other.app == config.app || other.link.empty() || other.releases.empty()) continue;
    auto directory = open_directory(other.releases);
    if (!directory && directory.error().code == std::errc::no_such_file_or_directory) continue;
    struct stat theirs {};
    if (!directory || fstat(directory->get(), &theirs) < 0)
      return fail(directory ? Outcome::os_error : directory.error().outcome(), other.app,
                  fmt::format("whether it shares {} cannot be told: {}", releases.path(),
                              directory ? "its releases cannot be looked at" : directory.error().text()));
    if (is_same(ours, theirs)) apps.push_back(&other);
  }
  std::sort(apps.begin(), apps.end(), [](auto* a, auto* b) { return a->app < b->app; });
  return apps;
}

Result<Tenant> tenant_of(const Config& config, const Places& places, State state, std::uint64_t keep) {
  auto releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  auto current = releases->named_by(config.link);
  if (!current) return forward_error(current);
  auto previous = releases->named_by(previous_link(config));
  if (!previous) return forward_error(previous);
  std::set<std::string> needed{*current, *previous, state.current, state.candidate, state.from, state.target};
  for (auto& release : requested_releases(config, places)) needed.insert(std::move(release));
  std::uint64_t good = 0;
  for (auto name = releases->names().rbegin(); name != releases->names().rend(); ++name)
    if (state.is(*name, Mark::good) && good++ < std::max<std::uint64_t>(keep, 1)) needed.insert(*name);
  return Tenant{&config, std::move(state), std::move(*current), std::move(needed)};
}

// What an app needs of which the record is lost is not known.
Result<State> known_state(const Config& config, const Places& places) {
  auto state = Ledger::read(places.state_dir, config.app);
  if (state && state->lost.empty()) return state;
  return fail(state ? Outcome::no : state.error().outcome(), config.app,
              fmt::format("shares the releases, and what it needs is not known: {}",
                          state ? state->lost : state.error().text()));
}

// All that share the directory. Nobody's record is changed by it, nor need it be locked.
Result<std::vector<Tenant>> look_at_tenants(const Config& config, const Places& places,
                                            std::span<const Config* const> apps, std::uint64_t keep,
                                            const State& own) {
  std::vector<Tenant> tenants;
  for (const Config* app : apps) {
    const bool is_own = app->app == config.app;
    auto state = is_own ? Result<State>(own) : known_state(*app, places);
    if (!state) return forward_error(state);
    auto tenant = tenant_of(*app, places, std::move(*state), is_own ? keep : app->keep);
    if (!tenant) return forward_error(tenant);
    tenants.push_back(std::move(*tenant));
  }
  return tenants;
}

// Out of sight in one step. A directory takes no name but of an empty one (rename(2)).
Result<void> set_aside(const Releases& releases, const std::string& release) {
  constexpr unsigned most_tries = 100;
  for (unsigned n = 0; n < most_tries; ++n) {
    if (renameat(releases.fd(), release.c_str(), releases.fd(), aside_name(release, n).c_str()) == 0)
      return {};
    if (errno == ENOENT) return {}; // somebody else was faster
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) break;
  }
  return fail_errno(fmt::format("{}/{}", releases.path(), release), "cannot be renamed");
}

// Those with this verdict that are not on disk. Where not even the current one is there, nothing may be
// mounted just now.
std::vector<std::string> gone_releases(const Releases& releases, const Tenant& tenant, Mark verdict) {
  std::vector<std::string> gone;
  if (!releases.contains(tenant.current)) return gone;
  for (const auto& [name, record] : tenant.state.releases) {
    struct stat status {};
    if (record.verdict == verdict && !tenant.needed.contains(name) &&
        fstatat(releases.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
      gone.push_back(name);
  }
  return gone;
}

// The right to change the records of all of them, so that none deploys what is removed; in the order of their
// names, so that two prunes never wait for each other.
Result<std::vector<Ledger::Change>> lock_all(const Places& places, std::span<const Config* const> apps) {
  std::vector<Ledger::Change> changes;
  for (const Config* app : apps) {
    auto releases = Releases::open(*app);
    if (!releases) return forward_error(releases);
    auto change = Ledger::Change::begin(places.state_dir, app->app, lock_patience,
                                        releases->named_by(app->link).value_or(""));
    if (!change) return forward_error(change);
    changes.push_back(std::move(*change));
  }
  return changes;
}

const Tenant& find_tenant(std::span<const Tenant> tenants, const std::string& app) {
  return *std::find_if(tenants.begin(), tenants.end(),
                       [&](const auto& each) { return each.config->app == app; });
}

// What is known only as a name is no release where any name would do.
Result<bool> is_certainly_release(const Config& config, const Releases& releases, const std::string& name) {
  if (config.pattern != "*") return true;
  if (config.require.empty()) return false;
  auto missing = releases.lacks(name);
  if (!missing) return forward_error(missing);
  return !*missing;
}

} // namespace

Result<std::vector<std::string>> old_releases(const Releases& releases, std::span<const Tenant> tenants,
                                              const std::string& app, std::uint64_t keep) {
  std::vector<std::string> old;
  const Tenant& own = find_tenant(tenants, app);
  const auto& names = releases.names();
  const auto now = std::find(names.begin(), names.end(), own.current);
  if (keep == keep_all || now == names.end() || !own.state.lost.empty()) return old;
  // From the current one back: how many good ones are younger than the one that is looked at.
  const auto is_good = [&](const auto& name) { return own.state.is(name, Mark::good); };
  auto good = static_cast<std::uint64_t>(std::count_if(now, names.end(), is_good));
  for (auto name = std::make_reverse_iterator(now); name != names.rend(); ++name) {
    const bool is_bad = own.state.is(*name, Mark::bad);
    const bool is_old = is_bad || good >= keep;
    if (is_good(*name)) ++good;
    const bool is_needed = std::any_of(tenants.begin(), tenants.end(), [&](const auto& tenant) {
      return tenant.needed.contains(*name) ||
             (!tenant.current.empty() && Releases::is_before(tenant.current, *name));
    });
    if (!is_old || is_needed) continue;
    auto certain =
        own.state.verdict(*name) ? Result<bool>(true) : is_certainly_release(*own.config, releases, *name);
    if (!certain) return forward_error(certain);
    if (*certain) old.push_back(*name);
  }
  std::reverse(old.begin(), old.end());
  return old;
}

Result<Pruned> prune(const Config& config, const Places& places, std::span<const Config> others,
                     const PruneRequest& request) {
  const std::uint64_t keep = request.keep.value_or(config.keep);
  auto releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  auto apps = who_shares(config, others, *releases);
  if (!apps) return forward_error(apps);
  auto state = Ledger::read(places.state_dir, config.app);
  // One that cannot be read is set aside below.
  if (!state && (request.dry_run || state.error().outcome() != Outcome::no)) return forward_error(state);
  auto tenants = look_at_tenants(config, places, *apps, keep, state.value_or(State{}));
  if (!tenants) return forward_error(tenants);
  auto old = old_releases(*releases, *tenants, config.app, keep);
  if (!old) return forward_error(old);
  Pruned pruned;
  // This takes as long as the processes let it, so nothing is locked yet.
  if (!old->empty()) {
    auto in_use = find_in_use(releases->fd(), *old);
    if (!in_use) return forward_error(in_use);
    pruned.kept = std::move(*in_use);
  }
  std::erase_if(*old, [&](const auto& name) { return pruned.kept.by.contains(name); });
  if (request.dry_run) {
    pruned.removed = std::move(*old);
    return pruned;
  }
  auto changes = lock_all(places, *apps);
  if (!changes) return forward_error(changes);
  auto& change = (*changes)[static_cast<std::size_t>(
      std::find_if(apps->begin(), apps->end(), [&](auto* app) { return app->app == config.app; }) -
      apps->begin())];
  pruned.note = change.set_aside();
  // What has changed since it was looked at counts.
  releases = Releases::open(config);
  if (!releases) return forward_error(releases);
  tenants = look_at_tenants(config, places, *apps, keep, change.state());
  if (!tenants) return forward_error(tenants);
  auto still_old = old_releases(*releases, *tenants, config.app, keep);
  if (!still_old) return forward_error(still_old);
  for (const auto& release : *old) {
    if (std::find(still_old->begin(), still_old->end(), release) == still_old->end()) continue;
    if (auto aside = set_aside(*releases, release); aside)
      pruned.removed.push_back(release);
    else
      pruned.failures.push_back(aside.error());
  }
  const Tenant& own = find_tenant(*tenants, config.app);
  std::vector<std::string> forgotten = gone_releases(*releases, own, Mark::good);
  for (const auto& release : pruned.removed)
    if (std::find(forgotten.begin(), forgotten.end(), release) == forgotten.end())
      forgotten.push_back(release);
  const std::vector<std::string> gone = gone_releases(*releases, own, Mark::bad);
  if (!forgotten.empty() || gone.size() > most_gone_remembered)
    if (auto recorded = change.commit(step::pruned(change.state(), forgotten, gone)); !recorded)
      pruned.failures.push_back(recorded.error());
  changes->clear(); // a rollback need not wait for the deleting
  delete_asides(*releases, pruned);
  return pruned;
}

} // namespace safe_deploy
