#pragma once

#include "check.hpp"
#include "checks/identity.hpp"
#include "checks/kinds.hpp"
#include "config.hpp"
#include "error.hpp"
#include "units.hpp"

#include <functional>
#include <memory>
#include <string>

namespace safe_deploy {

// What the checks of one app share.
struct CheckContext {
  // What ${app}, ${release} and ${link} stand for in values. The release is the one that `link` names now.
  std::string app;
  std::string release = {};
  std::string release_unknown = {}; // why it could not be found out; empty if it is known, or there is none
  std::string link = {};
  std::string unit = {};
  // As whom to ask what needs no rights (unprivileged_user()); nullptr: as whoever runs the tool.
  UserPtr unprivileged = {};
  // Where credential:NAME is found ($CREDENTIALS_DIRECTORY); empty if the process was given none.
  std::string credentials = {};
  std::shared_ptr<Units> units = {}; // systemd's word on units; nullptr: each check asks for itself
  std::shared_ptr<const Identity> identity = {}; // whose answers count; nullptr: anybody's
  // Called, on any thread, with what can be found out only beside the waiting: a jq filter that does not
  // compile. The check's own answer says it, too.
  std::function<void(const Error&)> on_late_error = {};
};

// Makes the check of a section ready to be asked: everything about it that can be wrong is found here.
// Outcome::bad_config with FILE:LINE; no where a ${...} has no value (no release is deployed yet).
Result<std::shared_ptr<Check>> make_check(const CheckSection& section, const CheckContext& context);

// Why checks of the kind exist, and what to do when one says no. The kind must be one that there is.
const Explanation& explain_kind(std::string_view kind);

} // namespace safe_deploy
