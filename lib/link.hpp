#pragma once

#include "error.hpp"

#include <optional>
#include <string>

// Symlinks that are pointed somewhere else in one step.
namespace safe_deploy {

// Where the link points, as written in it; nothing if there is no such file. Outcome::no if it is something
// else than a symlink.
Result<std::optional<std::string>> read_link(const std::string& link);

// Points `link` at `target`, kept as given, by a rename over it; creates it where it is missing. A `link`
// that is a directory or a file is refused (Outcome::no): nothing is ever put inside. Its owner stays the
// same where the caller may change owners. With `durable` the link is on disk on return. Left-over temporary
// links of processes that are gone are removed, never used.
Result<void> point_link(const std::string& link, const std::string& target, bool durable);

// Exchanges two symlinks of one directory in one step, which needs no room on the disk.
Result<void> exchange_links(const std::string& link, const std::string& other, bool durable);

// Removes a symlink; nothing if there is none. Outcome::no if it is something else.
Result<void> remove_link(const std::string& link, bool durable);

struct Moved {
  std::string link;
  std::string from;    // the link's text before; empty if there was none
  std::string to;      // and after
  std::string release; // its name, where an app's link was moved
  bool changed = false;
  std::string note = {}; // what else there is to tell: a record that was set aside; empty mostly
};

struct LinkChange {
  std::string target;
  std::string link;
  std::optional<std::string>
      expect;                      // only if the link has this text now (compare and swap), else Outcome::no
  std::optional<std::string> save; // a second link, pointed at the old target first
  bool allow_dangling = false;     // else `target` must exist (Outcome::no)
  bool durable = true;             // with the target's file system synced before
  bool dry_run = false;
};

// The whole of `atomic-link TARGET LINK`. Errors: no, usage, os_error; the link is then as it was.
Result<Moved> change_link(const LinkChange& change);

// The directory that holds the link, and the path of a target as seen from there.
std::string link_directory(const std::string& link);
std::string resolve_target(const std::string& link, const std::string& target);

} // namespace safe_deploy
