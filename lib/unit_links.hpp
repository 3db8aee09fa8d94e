#pragma once

#include "bus.hpp"

#include <optional>
#include <string>
#include <vector>

// Which symlinks the command of a unit goes through: one of them is the link that a deploy moves.
namespace safe_deploy {

struct LinkOnWay {
  std::string link;   // its path
  std::string target; // where it leads: absolute, by its text
  std::string rest;   // what follows it on the way; empty if nothing does
};

// The symlinks on the way to `path`, those of the path as it is written first. What does not exist has none.
std::vector<LinkOnWay> links_on_way(const std::string& path);

// The absolute paths that a unit's start names: its working directory, and those in the words of its
// ExecStart= lines ("--root=/srv/demo/current" among them).
std::vector<std::string> paths_of_start(const UnitState& unit);

// Whether one of them is reached through `link`, by whatever name.
bool starts_through(const UnitState& unit, const std::string& link);

// How an app is laid out on disk, as its unit and its link have it.
struct Layout {
  std::string link;
  std::string releases;             // the directory
  std::string current;              // the release that the link names
  std::string pattern;              // which entries are releases; empty: all directories
  std::vector<std::string> require; // the files of the release that the unit's command names
};

// `link` and `releases`: what is known already; empty where it is to be found out. Outcome::no, with the
// option that would tell, where it can't be.
Result<Layout> find_layout(const UnitState& unit, const std::string& link, const std::string& releases);

} // namespace safe_deploy
