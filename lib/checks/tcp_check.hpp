#pragma once

#include "check.hpp"
#include "checks/connector.hpp"
#include "checks/identity.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// What is said to a server, and what must be found in what it says; bytes as they are. Without `expect` it is
// enough that it takes the connection, and all that is sent.
struct TcpTalk {
  std::string send = {};
  std::string expect = {};
};

// Connects, talks and closes. Reasons: those of Connector, "timeout", "closed", "unexpected" (so much came
// without what is expected), and what the identity says. Its figure is "latency", of a yes.
class TcpCheck final : public Check {
 public:
  static constexpr std::size_t most_received = 65536;

  TcpCheck(Target target, TcpTalk talk, std::shared_ptr<const Identity> identity = {})
      : connector_(std::move(target)), talk_(std::move(talk)), identity_(std::move(identity)) {}

  Answer ask(const Deadline& deadline) override;
  // Nobody is connected to before somebody listens, as far as that can be seen.
  [[nodiscard]] std::shared_ptr<Check> gate() override;

 private:
  [[nodiscard]] std::string about(std::string_view what) const;
  [[nodiscard]] Answer talk(int socket, const Deadline& deadline) const;

  Connector connector_;
  TcpTalk talk_;
  std::shared_ptr<const Identity> identity_;
};

// tcp = TARGET, send = TEXT, expect = TEXT.
inline constexpr KindKey tcp_keys[] = {
    {"tcp", judge::stream_target},
    {"send", judge::escaped},
    {"expect", judge::escaped},
};
inline constexpr Explanation tcp_explained{
    "A port that is open may belong to a server that hangs: only what it says shows that it serves.",
    "Talk to it by hand with 'nc HOST PORT', and read the service's log: 'journalctl -u UNIT -e'."};
Result<std::shared_ptr<Check>> make_tcp_check(const Values& values);

} // namespace safe_deploy
