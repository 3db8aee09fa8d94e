#pragma once

#include "in_use.hpp"
#include "swap.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

// Old releases, and how they are removed.
namespace safe_deploy {

struct PruneRequest {
  std::optional<std::uint64_t> keep; // else [app] keep; keep_all: nothing is old
  bool dry_run = false;
};

struct Pruned {
  std::vector<std::string> removed; // or would be
  InUse kept;                       // old ones that a running process uses
  std::vector<Error> failures;      // what could not be removed, and is tried again by the next one
  std::string note = {};            // a record that was set aside
};

// One of the apps that have their releases in a directory, which need not be the one that is pruned.
struct Tenant {
  const Config* config;
  State state;
  std::string current;          // empty: the link names none
  std::set<std::string> needed; // whatever is kept: current, previous, candidate, where it came from and
                                // where a rollback leads, what is asked for, the newest good release
};

// Of the releases that are older than the current one of every tenant: those that are bad, and, once there
// are `keep` good ones, all that are older than the oldest of these; but none that is needed, and none whose
// record was lost. A directory of which nothing is known is one only where [app] pattern or require can tell
// it from what is no release. `app` is whose releases are pruned, and one of the tenants. Errors of looking
// at a release.
Result<std::vector<std::string>> old_releases(const Releases& releases, std::span<const Tenant> tenants,
                                              const std::string& app, std::uint64_t keep);

// Removes them: renamed aside in the directory of the releases, forgotten in the record, then deleted, which
// holds nobody up. `others` are the other apps of this machine: what those of them need that share the
// directory stays. What an earlier prune could not finish is deleted as well. Errors: busy, no (the record of
// another app that shares the directory is lost), bad_config, os_error; nothing is removed then.
Result<Pruned> prune(const Config& config, const Places& places, std::span<const Config> others,
                     const PruneRequest& request);

} // namespace safe_deploy
