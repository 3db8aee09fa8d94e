#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "owner.hpp"
#include "sockets.hpp"
#include "target.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace safe_deploy {

// What is asked about a port.
struct PortQuestion {
  Target target = {};
  Family family = Family::any;
  bool free = false; // else: is it listened on?
  bool strict =
      false; // of `free`: also for a server that does not set SO_REUSEADDR; a unix path must not exist
  bool connect = false; // really connect, also to this machine
  // Listening: it must be this unit that listens; a listener of another one is a final no. Empty: anybody.
  std::string unit = {};
  // Free: a port that this unit holds counts as free; with `spare_sockets_only` only if systemd holds it on
  // behalf of a .socket unit that starts it. Empty: nobody may hold it.
  std::string spare_unit = {};
  bool spare_sockets_only = false;
};

// Who stands behind an answer about a port of this machine.
struct PortHolder {
  std::string state; // of the socket: "LISTEN", "TIME_WAIT", "UDP" ...
  Holder holder;
};

// Asks about a port, in whichever way is right for the target. Reasons: "ok", "not-listening", "held",
// "other-unit", "unknown-owner"; for names and other machines "refused", "timeout", "unreachable", "lookup",
// "open"; "os-error".
class PortCheck : public Check {
 public:
  // Who held or listened on the port at the last ask, with the process; looked for when this is called.
  virtual std::optional<PortHolder> holder() { return std::nullopt; }
  // What the tables would not tell, for people; empty if nothing.
  [[nodiscard]] virtual std::string limitation() const { return {}; }
};

// A check for the question. An address that is not of this machine, and a name, are connected to when asked;
// their check is not instant. `sockets` may be shared by the checks that one thread asks.
std::shared_ptr<PortCheck> make_port_check(PortQuestion question, const std::shared_ptr<Sockets>& sockets);

// The kinds of the configuration: listening = TARGET; port-free = TARGET, which the app's own unit may hold.
class Values;
inline constexpr KindKey listening_keys[] = {{"listening", judge::target}};
inline constexpr Explanation listening_explained{
    "What is to be reached at a port must listen there.",
    "See 'ss -ltnp' for who listens where, and 'systemctl status' of the service that should."};
Result<std::shared_ptr<Check>> make_listening_check(const Values& values);
inline constexpr KindKey port_free_keys[] = {{"port-free", judge::target}};
inline constexpr Explanation port_free_explained{
    "A server whose port somebody else holds cannot start, and some exit with 0 then, as if all were well.",
    "End the process that is named, or move it to another port; 'port-wait --free PORT' waits for it."};
Result<std::shared_ptr<Check>> make_port_free_check(const Values& values);

// "port 9000", "127.0.0.1:9000", "UDP port 53", "unix:/run/x"
std::string port_label(const Target& target);

// Whether the target means this machine, so that its sockets can be looked at, as far as that can be told
// without a resolver.
bool is_observable(const Target& target);

// The addresses at which a listener counts: of a bare port and of localhost the loopback ones.
std::vector<Address> observed_addresses(const Target& target, Family family);

// A no for what the operating system refused.
Answer cannot_look(const Target& target, const Error& error);

} // namespace safe_deploy
