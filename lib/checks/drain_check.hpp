#pragma once

#include "check.hpp"
#include "fd.hpp"
#include "sockets.hpp"
#include "target.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace safe_deploy {

struct DrainQuestion {
  std::vector<Target> targets;        // TCP ports of this machine
  std::uint64_t most = 0;             // so many connections may stay
  std::vector<Network> excluded = {}; // the peers that do not count
};

// Outcome::usage for a target whose connections cannot be counted: of another machine, UDP, a unix socket, a
// name.
Result<void> check_drainable(const Target& target);

// A connection that was open at the last look.
struct OpenConnection {
  Socket socket;
  Clock::time_point seen; // for the first time; how old it was by then is told by nobody
};

// Whether the connections of ports have ended, by the kernel's tables of this network namespace. What counts
// is established, or closing with data on its way; a connection that waits to be accepted is established.
// Reasons: "ok", "connections", "os-error". The figures are "connections", "established" and "closing".
class DrainCheck final : public Check {
 public:
  DrainCheck(DrainQuestion question, std::shared_ptr<Sockets> sockets);

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] bool instant() const override { return true; }
  // Readable when a connection has ended.
  [[nodiscard]] int wake_fd() const override { return wake_.get(); }

  // Those of the last look, the longest seen first.
  [[nodiscard]] std::vector<OpenConnection> connections() const;
  // What the tables would not tell, for people; empty if nothing.
  [[nodiscard]] std::string limitation() const;

 private:
  void subscribe();
  void drain_events();
  Answer look();
  Result<std::vector<Socket>> find_all();
  [[nodiscard]] bool counts(const Socket& socket, const Target& target) const;
  [[nodiscard]] Answer judge() const;

  using Ends = std::pair<Endpoint, Endpoint>;

  DrainQuestion question_;
  std::shared_ptr<Sockets> sockets_;
  std::vector<DestroyEvents> events_ = {};
  Fd wake_ = {}; // an epoll of all of them
  bool tried_to_subscribe_ = false;
  std::string limitation_ = {};
  std::map<Ends, OpenConnection> open_ = {};
  std::optional<Answer> last_ = {};
  Clock::time_point next_look_ = {};
};

} // namespace safe_deploy
