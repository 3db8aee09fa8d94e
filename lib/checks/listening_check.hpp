#pragma once

#include "checks/port_check.hpp"

#include <map>

namespace safe_deploy {

// Whether somebody listens on a TCP or UDP port of this machine, seen in the kernel's tables. A bare port is
// listened on by whoever would answer at 127.0.0.1 or ::1; an address only by who would answer there.
class ListeningCheck final : public PortCheck {
 public:
  ListeningCheck(PortQuestion question, std::shared_ptr<Sockets> sockets);

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }
  std::optional<PortHolder> holder() override;
  [[nodiscard]] std::string limitation() const override { return sockets_->limitation(); }

 private:
  Answer ask_by_connecting(const Error& why, const Deadline& deadline);
  Answer judge(const Socket& socket);
  Answer judge_owners(const Socket& socket);
  [[nodiscard]] std::vector<Socket> group_of(const Socket& socket);
  const Holder& owner_of(const Socket& socket);
  const Answer& nobody();
  std::string hint();

  PortQuestion question_;
  std::shared_ptr<Sockets> sockets_;
  std::vector<Address> addresses_;
  const std::string label_;
  std::optional<Socket> seen_ = {};
  // Who owns a socket costs more than that it is there: it is looked for once for each, by its inode.
  std::map<std::uint64_t, Holder> owners_ = {};
  // What else is on the port costs more, too: it is looked for now and then.
  Clock::time_point hint_due_ = {};
  Answer nobody_ = {};
};

} // namespace safe_deploy
