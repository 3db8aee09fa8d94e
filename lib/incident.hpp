#pragma once

#include "error.hpp"

#include <cstdint>
#include <string>
#include <vector>

// Incidents: what went wrong with an app, for a person to look into. Each is a directory
// STATE_DIR/APP/incidents/ID with an incident.json; it is open until somebody closes it with a note. Only
// root may read them: what an app has logged is in the journal for those who may read that.
namespace safe_deploy {

struct Incident {
  std::string id = {};   // "20261128-101502-rolled-back"; given when it is opened
  std::string kind = {}; // "rolled-back", "stuck", "failed", "interrupted", "check"
  std::string app = {};
  std::string release = {}; // that it is about; may be empty
  std::string check = {};   // kind "check": which one
  std::string at = {};      // wall clock, RFC 3339, of the first time
  std::string last_at = {}; // of the last time
  std::uint64_t count = 1;
  std::string reason = {};             // why: one sentence
  std::string done = {};               // what was done about it: "rolled back to 1, which is healthy"
  std::vector<std::string> lines = {}; // what the app logged last, oldest first
  std::string closed_at = {};          // empty: open
  std::string closed_by = {};
  std::string note = {};
  [[nodiscard]] bool is_open() const { return closed_at.empty(); }
};

// How many are kept of an app: the oldest closed ones go first, then the oldest ones.
inline constexpr std::size_t most_incidents = 50;

// Records it; one of the same kind, release and check that is open takes it up instead (count, last_at,
// reason and lines are then of the last time). Returns the id. Errors: os_error.
Result<std::string> open_incident(const std::string& state_dir, Incident incident);

// All of an app, the newest first. What cannot be read is passed over. None where the directory is missing.
Result<std::vector<Incident>> list_incidents(const std::string& state_dir, const std::string& app);

// Outcome::no where there is none of that id, or it is closed already.
Result<void> close_incident(const std::string& state_dir, const std::string& app, const std::string& id,
                            const std::string& note, const std::string& by);

// As in incident.json, on one line.
std::string incident_to_json(const Incident& incident);

} // namespace safe_deploy
