#include "checks/connector.hpp"

#include "checks/port_check.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "reach.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

namespace safe_deploy {

namespace {

bool any(const std::vector<Reached>& all, Reached::How how) {
  return std::any_of(all.begin(), all.end(), [&](const Reached& one) { return one.how == how; });
}

// Where nobody listens at a port from which the kernel takes those of clients, a connection may come out at
// its own beginning (RFC 9293, 3.5: a simultaneous open).
bool is_connected_to_itself(int socket) {
  sockaddr_storage near{};
  sockaddr_storage far{};
  socklen_t near_size = sizeof near;
  socklen_t far_size = sizeof far;
  return getsockname(socket, reinterpret_cast<sockaddr*>(&near), &near_size) == 0 &&
         getpeername(socket, reinterpret_cast<sockaddr*>(&far), &far_size) == 0 && near_size == far_size &&
         std::memcmp(&near, &far, near_size) == 0;
}

Target peer_at(const Endpoint& endpoint) {
  Target peer;
  peer.text = endpoint.text();
  peer.kind = Target::Kind::address;
  peer.port = endpoint.port;
  peer.address = endpoint.address;
  return peer;
}

} // namespace

std::string within(const Deadline& deadline) {
  return "within " + format_duration(std::chrono::ceil<std::chrono::milliseconds>(deadline.given()));
}

tl::unexpected<Answer> Connector::no(std::string reason, const std::string& what) const {
  Answer answer = Answer::no(std::move(reason), fmt::format("{}: {}", printable(port_label(target_)), what));
  answer.counts = false;
  return tl::unexpected<Answer>(std::move(answer));
}

tl::expected<Connection, Answer> Connector::connect(const Deadline& deadline) {
  std::vector<Endpoint> endpoints;
  FirstReached first;
  if (target_.is_unix()) {
    first = reach_first_unix(target_, deadline);
    if (first.all.front().error_number == ENOENT) return no("refused", "there is no such socket");
  } else {
    auto found = target_.kind == Target::Kind::name && !is_localhost(target_.name)
                     ? lookup_.addresses(deadline)
                     : Result<std::vector<Address>>(observed_addresses(target_, Family::any));
    if (!found) {
      const bool late = found.error().outcome() == Outcome::timed_out;
      return no(late ? "timeout" : "lookup",
                late ? fmt::format("{} {}", found.error().problem, within(deadline)) : found.error().text());
    }
    if (found->empty()) return no("lookup", "the name has no address");
    for (const Address& address : *found) endpoints.push_back({address, target_.port});
    first = reach_first(endpoints, deadline);
  }
  if (first.socket && !is_connected_to_itself(first.socket.get())) {
    if (target_.is_unix()) return Connection{std::move(first.socket), target_};
    const int on = 1;
    (void)setsockopt(first.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return Connection{std::move(first.socket), peer_at(endpoints[first.index])};
  }
  if (first.socket) return no("refused", "nobody listens there");
  // The sentence begins with the one place of a unix socket.
  if (target_.is_unix()) first.all.front().where.clear();
  std::string each = printable(join_texts(first.all), 400);
  if (target_.is_unix()) each.erase(0, each.find_first_not_of(": "));
  const auto all_fail_with = [&](std::initializer_list<int> errors) {
    return std::all_of(first.all.begin(), first.all.end(), [&](const Reached& one) {
      return one.how == Reached::How::failed &&
             std::find(errors.begin(), errors.end(), one.error_number) != errors.end();
    });
  };
  if (all_fail_with({ECONNRESET})) { // after it had been taken: unlike ECONNREFUSED an answer
    auto answer = no("closed", "closed at once: " + each);
    answer.value().counts = true;
    return answer;
  }
  if (any(first.all, Reached::How::timed_out))
    return no("timeout", fmt::format("no connection {}: {}", within(deadline), each));
  // Also where the machine has no IPv6, say, and so cannot ask the other address.
  if (any(first.all, Reached::How::refused)) return no("refused", "no connection: " + each);
  auto answer = no("unreachable", "no connection: " + each);
  if (all_fail_with({EACCES, EPERM})) {
    answer.value().verdict = Verdict::skipped;
    answer.value().reason = "permission";
  }
  return answer;
}

} // namespace safe_deploy
