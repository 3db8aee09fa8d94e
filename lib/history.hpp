#pragma once

#include "asker.hpp"
#include "error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The history of an app (history.jsonl), read as deploys: each with its steps, from the intent to the end.
namespace safe_deploy {

struct HistoryStep {
  std::string event; // as recorded: "swap-intended", "swapped", "passed", "good", "rollback-intended", ...
  std::string at;    // wall clock, RFC 3339
  std::string boot;
  double monotonic = 0; // seconds; comparable within one boot
  std::string release;
  std::string reason;
  std::string phase; // after it
};

struct Deploy {
  std::uint64_t number = 0;
  std::string kind; // "deploy" or "rollback" (one that a person asked for)
  std::string release;
  std::string from;
  Asker by;
  bool forced = false;
  std::string outcome; // "good", "rolled-back", "stuck", "abandoned", "interrupted", "probation", "under way"
  std::string reason;
  std::vector<HistoryStep> steps; // oldest first
  // Seconds from the first step to the last, or nothing where a reboot came between.
  [[nodiscard]] std::optional<double> took() const;
};

// Oldest first. What happens outside of a deploy (verdicts by hand, prunes) belongs to none.
// A line that makes no sense is passed over; whatever the lines hold is not trusted.
std::vector<Deploy> deploys_of(const std::vector<std::string>& history_lines);

// The last deploys, at most `most` of them, that began at `since` (RFC 3339, UTC, as in the history; empty:
// at any time) or later: oldest first. Reads the file from its end, and no more of it than that takes.
// Errors: os_error; Outcome::no where it is no regular file.
Result<std::vector<Deploy>> last_deploys(const std::string& state_dir, const std::string& app,
                                         std::size_t most, const std::string& since = "");

} // namespace safe_deploy
