#pragma once

#include "app.hpp"
#include "bus.hpp"
#include "history.hpp"
#include "incident.hpp"
#include "json.hpp"
#include "last_answers.hpp"
#include "ledger.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

// How an app stands: what the record, the disk, systemd and the kernel's tables say of it. What cannot be
// found out says so instead of failing the rest.
namespace safe_deploy::command {

struct StandingRelease {
  std::string name;
  std::vector<std::string> roles; // "current", "previous", "candidate", "gone", "incomplete"
  std::optional<ReleaseRecord> record;
};

// A thing to do: why, and the commands for it, to be copied.
struct NextStep {
  std::string why;
  std::vector<std::string> commands;
};

struct Standing {
  std::string app;
  std::string unit;
  std::string unit_state; // "active (running)", "not-found"; "unknown" without systemd
  std::optional<UnitState> unit_told;
  bool deploy_busy = false; // one of our units is at work
  bool busy_known = false;  // systemd told
  std::string current;
  std::string previous;
  std::string error; // the configuration, the releases or the record cannot be read
  State state;
  bool incidents_hidden = false;        // who asks may not read them
  std::vector<Incident> open_incidents; // the newest first
  Config config;

  // What is looked at for one app alone.
  std::vector<StandingRelease> releases = {}; // the newest first
  std::optional<double> phase_seconds = {};   // how long it has been in the phase; nothing after a reboot
  std::optional<double> probation_left = {};
  std::string port = {}; // a sentence; empty where no port is configured
  Json port_told = {};
  std::vector<std::pair<std::string, LastAnswers>> answers = {}; // by when they were asked; only what was
  std::optional<Incident> last_incident = {};
  std::optional<Deploy> last_deploy = {};
};

// What all apps are asked. `bus`: none where systemd cannot be asked.
Standing look(const CommandLine& line, const std::string& name, Bus* bus, Reporter& report);
// What one app is asked besides.
void look_closer(Standing& standing, const Places& places, Bus* bus);

std::optional<Mark> verdict_of(const Standing& standing);

// What a person should do, the most urgent first; nothing if all is well.
std::vector<NextStep> next_steps(const Standing& standing);

// The second one with what look_closer() found.
Json to_json(const Standing& standing);
Json closer_to_json(const Standing& standing);

} // namespace safe_deploy::command
