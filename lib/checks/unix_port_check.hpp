#pragma once

#include "checks/port_check.hpp"

namespace safe_deploy {

// Whether somebody listens on a unix socket (or receives there, if it is a datagram one), or nobody is bound
// to it. A path means the file: a socket that was bound to it before it was replaced does not count. There
// are no events: it is asked again and again.
class UnixPortCheck final : public PortCheck {
 public:
  UnixPortCheck(PortQuestion question, std::shared_ptr<Sockets> sockets)
      : question_(std::move(question)), sockets_(std::move(sockets)) {}

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }
  std::optional<PortHolder> holder() override;
  [[nodiscard]] std::string limitation() const override { return sockets_->limitation(); }

 private:
  Answer ask_by_connecting(const Error& why);
  Answer judge_listening();
  Answer judge_free();
  const Holder& find_owner(const UnixSocket& socket);

  PortQuestion question_;
  std::shared_ptr<Sockets> sockets_;
  std::optional<UnixSocket> seen_ = {};
  std::uint64_t owner_of_ = 0; // the inode of the socket
  Holder owner_ = {};
};

} // namespace safe_deploy
