#include "fuzz.hpp"
#include "process.hpp"
#include "sockets.hpp"

#include <algorithm>

using namespace safe_deploy;

namespace {

void verify(const Socket& socket) {
  fuzz_verify(static_cast<unsigned>(socket.state) >= 1 && static_cast<unsigned>(socket.state) <= 31);
  fuzz_verify(!state_name(socket.state).empty() && !socket.local.text().empty());
}

// What the kernel would answer: one message after another.
void read_messages(std::string_view input) {
  Bytes rest = std::as_bytes(std::span(input));
  while (const auto message = next_message(rest)) {
    fuzz_verify(message->payload.size() <= input.size());
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp})
      if (const auto socket = read_inet_diag(message->payload, protocol)) verify(*socket);
    if (const auto socket = read_unix_diag(message->payload))
      fuzz_verify(socket->name.size() <= message->payload.size());
  }
}

void read_lines(std::string_view input) {
  while (!input.empty()) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string_view line = input.substr(0, end);
    for (const bool v6 : {false, true})
      if (const auto socket = read_proc_line(line, Protocol::tcp, v6)) verify(*socket);
    if (const auto socket = read_proc_unix_line(line)) fuzz_verify(socket->name.size() <= line.size());
    const CgroupUnit unit = unit_of_cgroup(line);
    fuzz_verify(unit.unit.find('/') == std::string::npos && unit.user_unit.find('/') == std::string::npos);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
}

} // namespace

void fuzz(std::string_view input) {
  read_messages(input);
  read_lines(input);
}
