#pragma once

#include "checks/standard.hpp"
#include "policy.hpp"

#include <string>
#include <vector>

// The answers of checks, as people and programs want them. The answers are in the order of the checks.
namespace safe_deploy::preflight {

// What was asked, and what came of it.
struct Report {
  std::string app;
  std::string when; // the moment whose checks they are
  const std::vector<NamedCheck>& checks;
  const std::vector<Asking>& answers;

  [[nodiscard]] std::vector<const Asking*> with(Verdict verdict) const;
};

// A row for each check; what is not well stands out, in colour where `coloured`.
std::string table(const Report& report, bool coloured);
std::string json(const Report& report);

// One line with the state, the reasons and, behind a '|', all figures (Nagios plugin guidelines), without its
// end. `code` is set to 0 OK, 1 WARNING, 2 CRITICAL or 3 UNKNOWN (nothing could be asked).
std::string nagios(const Report& report, int& code);
// The same for an error that kept the checks from being asked: UNKNOWN.
std::string nagios_unknown(const std::string& why);

// Prometheus' text exposition format, for node_exporter's textfile collector, say.
std::string prometheus(const Report& report);

// One line that says why, with every check that failed.
std::string refusal(const Report& report);

// The checks themselves, not asked.
std::string list(const std::vector<NamedCheck>& checks, bool json);
// Why a check exists, how it is asked, and what to do when it fails.
std::string explanation(const NamedCheck& check, const Config& config, bool json);

} // namespace safe_deploy::preflight
