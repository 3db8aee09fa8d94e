#pragma once

#include "config.hpp"
#include "error.hpp"
#include "fd.hpp"
#include "ledger.hpp"

#include <optional>
#include <string>
#include <vector>

// The releases of an app, as they are on disk, and the links that name them.
namespace safe_deploy {

class Releases {
 public:
  // Outcome::bad_config if the configuration names no link or releases; os_error if the directory cannot be
  // read.
  static Result<Releases> open(const Config& config);

  // The names of all releases, oldest first: real directories that match the pattern, in version order of
  // their names (strverscmp(3): v1.9.0 before v1.10.0; 1.10~rc1 before 1.10). Names that begin with a dot or
  // end in .partial or .tmp are none.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] bool contains(const std::string& release) const;
  // Whether a release is older than another one: in version order of the names.
  [[nodiscard]] static bool is_before(const std::string& release, const std::string& other);
  // The directory that holds them, and its path.
  [[nodiscard]] int fd() const { return directory_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  // What a release lacks to be complete (the first missing entry of `require`), or nothing.
  [[nodiscard]] Result<std::optional<std::string>> lacks(const std::string& release) const;
  // A one-way migration: it is not rolled back by itself.
  [[nodiscard]] Result<bool> is_irreversible(const std::string& release) const;

  // Which release a link names; empty if there is no link, or it names something else than a release of ours.
  [[nodiscard]] Result<std::string> named_by(const std::string& link) const;

  // The text for a link beside `config.link` that names the release: absolute where the link is absolute now
  // or the releases are not below its directory, relative otherwise.
  [[nodiscard]] Result<std::string> target_for(const std::string& release) const;

  // Writes the release's files to disk (syncfs(2) of its file system).
  [[nodiscard]] Result<void> sync(const std::string& release) const;

 private:
  explicit Releases(const Config& config)
      : link_(config.link), path_(config.releases), require_(config.require) {}

  std::string link_;
  std::string path_;
  std::vector<std::string> require_;
  Fd directory_ = {};
  std::vector<std::string> names_ = {};
};

// PREVIOUS beside the configured link.
std::string previous_link(const Config& config);

// The release to deploy where none is named: the newest that is complete and not bad. Outcome::no with the
// reason if there is none, or if it is `current` and a newer one had to be passed over.
Result<std::string> newest_deployable(const Releases& releases, const State& state,
                                      const std::string& current);

// Where a rollback leads from `left`: to where a candidate came from, to what `previous` names, or to the
// newest release; the first of these that is good and complete. Outcome::no if there is none.
Result<std::string> rollback_target(const Releases& releases, const State& state, const std::string& previous,
                                    const std::string& left);

} // namespace safe_deploy
