#pragma once

#include "check.hpp"
#include "fd.hpp"
#include "lookup.hpp"
#include "target.hpp"

#include <tl/expected.hpp>

#include <string>

namespace safe_deploy {

// A connection to talk over.
struct Connection {
  Fd socket;        // non-blocking
  Target peer = {}; // the address that took it
};

// Connects for a check that wants to talk to a target: to all addresses of a name, or of this machine, at
// once.
class Connector {
 public:
  explicit Connector(Target target) : lookup_(target.name), target_(std::move(target)) {}

  [[nodiscard]] const Target& target() const { return target_; }

  // Within the deadline, the look-up of the name included. Otherwise what each address said, with the reason
  // "refused", "unreachable", "lookup" or "timeout": a no that does not count, for nobody answered; or
  // "closed" where a connection was taken and reset. Skipped ("permission") where this process may not
  // connect.
  tl::expected<Connection, Answer> connect(const Deadline& deadline);

 private:
  [[nodiscard]] tl::unexpected<Answer> no(std::string reason, const std::string& what) const;

  Lookup lookup_;
  Target target_;
};

// "within 5s": the time that was allowed.
std::string within(const Deadline& deadline);

} // namespace safe_deploy
