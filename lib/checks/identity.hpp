#pragma once

#include "check.hpp"
#include "http.hpp"

#include <optional>

namespace safe_deploy {

// Judges by whose socket an answer came: the old process, a foreign one or another instance that answers on
// the port says nothing about the app.
class Identity {
 public:
  Identity() = default;
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  virtual ~Identity() = default;

  // Nothing, or the no that the answer is. Called from the thread of the check.
  virtual std::optional<Answer> objection(const HttpRequest& request, const HttpResponse& response) = 0;
};

} // namespace safe_deploy
