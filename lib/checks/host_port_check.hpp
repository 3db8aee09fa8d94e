#pragma once

#include "checks/port_check.hpp"

#include <string>

namespace safe_deploy {

// Whether a port of a name or of another machine answers (or refuses, which is how a port that is free looks
// from elsewhere). A name is looked up at each ask; its addresses on this machine are only looked at, unless
// connecting is asked for. Each address's answer is told.
class HostPortCheck final : public PortCheck {
 public:
  explicit HostPortCheck(PortQuestion question) : question_(std::move(question)) {}

  Answer ask(const Deadline& deadline) override;

 private:
  Result<std::vector<Address>> addresses() const;
  Answer ask_unix() const;
  [[nodiscard]] PortQuestion question_for(const Address& address) const;
  [[nodiscard]] Answer judge(bool yes, std::string reason, const std::string& what) const;

  PortQuestion question_;
};

} // namespace safe_deploy
