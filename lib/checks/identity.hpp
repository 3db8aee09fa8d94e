#pragma once

#include "check.hpp"
#include "http.hpp"
#include "target.hpp"

#include <memory>
#include <optional>
#include <string>

namespace safe_deploy {

// Whose answers count. What the old process, a foreign one or another instance says on the port says nothing
// about the app: the listening socket must belong to the app's unit.
class Identity {
 public:
  // Where `own` is given, only what is asked at that port must come from the unit: a check may ask a proxy in
  // front of the app, too, or what it depends on.
  explicit Identity(std::string unit, std::optional<Target> own = {})
      : unit_(std::move(unit)), own_(std::move(own)) {}

  // Nothing, or the no that an answer is because of where it comes from. Reasons: "other-unit", "not-local"
  // and those of PortCheck.
  [[nodiscard]] std::optional<Answer> objection(const HttpRequest& request,
                                                const HttpResponse& response) const;

  // The same for another protocol's answer, which came from `answering`.
  [[nodiscard]] std::optional<Answer> objection(const Target& asked, const Target& answering) const;

  // The unit that must listen for this request to count; empty if it may be anybody.
  [[nodiscard]] std::string wanted_unit(const HttpRequest& request) const;
  [[nodiscard]] std::string wanted_unit(const Target& asked) const;

 private:
  std::string unit_;
  std::optional<Target> own_;
};

// Where a request will connect to, if that can be looked at in the socket tables of this machine without a
// name look-up.
std::optional<Target> observable_target(const HttpRequest& request);

// Whether somebody, or the unit, listens there; nullptr where that cannot be looked at. That another unit
// does is not final: it may be about to stop.
std::shared_ptr<Check> make_listener_gate(const HttpRequest& request, const Identity* identity);
std::shared_ptr<Check> make_listener_gate(const Target& target, const Identity* identity);

// The check that `unit` listens on the target, for as long as another one may be about to stop.
std::shared_ptr<Check> make_own_listener_check(const Target& target, const std::string& unit);

} // namespace safe_deploy
