#include "fuzz.hpp"
#include "target.hpp"

using namespace safe_deploy;

void fuzz(std::string_view input) {
  const auto target = parse_target(input);
  if (!target) {
    fuzz_verify(target.error().outcome() == Outcome::usage && !target.error().problem.empty());
    // Hostile text must not reach a terminal.
    for (const char c : target.error().text())
      fuzz_verify(static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) != 0x7f);
    return;
  }
  fuzz_verify(target->text == input);
  if (target->is_unix()) {
    fuzz_verify(target->port == 0 && !target->name.empty() && target->name.size() <= 107);
    const SocketAddress address = target->kind == Target::Kind::unix_path
                                      ? SocketAddress::unix_path(target->name)
                                      : SocketAddress::unix_abstract(target->name);
    fuzz_verify(address.length <= 110);
    return;
  }
  fuzz_verify(target->port != 0);
  fuzz_verify((target->kind == Target::Kind::name) == !target->name.empty());
  if (target->kind != Target::Kind::address) return;
  // What it means can be written down and read again.
  const auto again = parse_target(Endpoint{target->address, target->port}.text());
  fuzz_verify(again.has_value() && again->address == target->address && again->port == target->port);
}
