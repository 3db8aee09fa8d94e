#pragma once

#include "checks/port_check.hpp"

#include <string>
#include <vector>

namespace safe_deploy {

// Whether a server could bind to a TCP or UDP port of this machine now: it is tried, without listening. Who
// is in the way is looked up in the kernel's tables. A bare port must be free on all addresses.
class PortFreeCheck final : public PortCheck {
 public:
  PortFreeCheck(PortQuestion question, std::shared_ptr<Sockets> sockets);

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }
  // Readable when a socket of the port has ended. TIME_WAIT ends without an event.
  [[nodiscard]] int wake_fd() const override { return events_ ? events_->fd() : -1; }
  std::optional<PortHolder> holder() override;
  [[nodiscard]] std::string limitation() const override { return limitation_; }

 private:
  // Where a server would bind.
  struct Place {
    Endpoint endpoint;
    bool v6_only = false;
  };

  Answer look();
  Result<Bindable> try_places();
  void subscribe();
  Answer free_answer() const;
  Answer in_use();
  Answer judge_by_tables();
  Answer describe();
  Answer not_local() const;
  Result<std::optional<Socket>> find_listener();
  Result<std::vector<Socket>> find_all();
  [[nodiscard]] bool is_in_the_way(const Socket& socket) const;
  [[nodiscard]] bool is_spared(const Holder& holder) const;
  Answer held_by(const Socket& socket, std::size_t others);
  Answer held_by_ended(const std::vector<Socket>& sockets);

  PortQuestion question_;
  std::shared_ptr<Sockets> sockets_;
  std::vector<Place> places_;
  std::optional<DestroyEvents> events_ = {};
  bool tried_to_subscribe_ = false;
  std::optional<Answer> last_ = {};
  Clock::time_point last_look_ = {};
  std::string limitation_ = {};
  // Whoever is in the way is described once, as long as nothing seems to have changed: with many connections
  // on the machine a look at all of them takes its time.
  std::optional<Socket> blocker_ = {};
  std::optional<Holder> blocker_holder_ = {};
  std::optional<Answer> described_ = {};
  Clock::time_point describe_due_ = {};
};

} // namespace safe_deploy
