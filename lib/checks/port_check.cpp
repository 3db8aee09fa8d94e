#include "checks/port_check.hpp"

#include "checks/host_port_check.hpp"
#include "checks/listening_check.hpp"
#include "checks/port_free_check.hpp"
#include "checks/unix_port_check.hpp"

#include <fmt/format.h>

namespace safe_deploy {

std::shared_ptr<PortCheck> make_port_check(PortQuestion question, const std::shared_ptr<Sockets>& sockets) {
  if (question.connect || !is_observable(question.target))
    return std::make_shared<HostPortCheck>(std::move(question));
  if (question.target.is_unix()) return std::make_shared<UnixPortCheck>(std::move(question), sockets);
  if (question.free) return std::make_shared<PortFreeCheck>(std::move(question), sockets);
  return std::make_shared<ListeningCheck>(std::move(question), sockets);
}

std::string port_label(const Target& target) {
  const bool udp = target.protocol == Protocol::udp;
  switch (target.kind) {
    case Target::Kind::port:
      return fmt::format("{}port {}", udp ? "UDP " : "", target.port);
    case Target::Kind::address:
      return fmt::format("{}{}", udp ? "udp:" : "", Endpoint{target.address, target.port}.text());
    case Target::Kind::name:
    case Target::Kind::unix_path:
    case Target::Kind::unix_abstract:
      break;
  }
  return target.text;
}

bool is_observable(const Target& target) {
  switch (target.kind) {
    case Target::Kind::address:
      return is_local(target.address);
    case Target::Kind::name:
      return is_localhost(target.name);
    default:
      return true;
  }
}

std::vector<Address> observed_addresses(const Target& target, Family family) {
  if (target.kind == Target::Kind::address) return {target.address};
  std::vector<Address> addresses;
  if (family != Family::v6) addresses.push_back(Address::v4_loopback());
  if (family != Family::v4) addresses.push_back(Address::v6_loopback());
  return addresses;
}

Answer cannot_look(const Target& target, const Error& error) {
  return {.verdict = Verdict::no,
          .reason = "os-error",
          .sentence = fmt::format("{}: {}", port_label(target), error.text())};
}

} // namespace safe_deploy
