#pragma once

#include "json.hpp"
#include "link.hpp"
#include "name.hpp"
#include "report.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace safe_deploy {

// The answer of the tools that move a link: `LINK: OLD -> NEW` or `LINK: unchanged`, or the same as JSON.
inline void print_moved(const Moved& moved, bool json, bool quiet, Reporter& report) {
  if (!moved.note.empty()) report.say(Priority::warning, moved.note);
  if (json) {
    const Json object{{"link", moved.link},
                      {"from", moved.from},
                      {"to", moved.to},
                      {"release", moved.release},
                      {"changed", moved.changed}};
    fmt::print("{}\n", to_text(object));
  } else if (!quiet) {
    if (moved.changed)
      fmt::print("{}: {} -> {}\n", moved.link, moved.from.empty() ? "(none)" : printable(moved.from),
                 moved.to);
    else
      fmt::print("{}: unchanged\n", moved.link);
  }
}

} // namespace safe_deploy
