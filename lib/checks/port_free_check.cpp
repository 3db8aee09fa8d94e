#include "checks/port_free_check.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

// How long a description of who is in the way holds good, at least; one that was dear holds longer.
constexpr auto description_interval = std::chrono::milliseconds(250);
constexpr int description_share = 20; // at most one part in so many of the time goes into describing

// Within this time an event may be the end of our own socket.
constexpr auto echo = std::chrono::milliseconds(5);

bool is_listening(const Socket& socket) {
  return socket.protocol == Protocol::udp || socket.state == SocketState::listen;
}

// Whether two local addresses are in each other's way on one port (inet_rcv_saddr_equal() of
// net/ipv4/inet_connection_sock.c).
bool overlap(const Address& one, bool one_v6_only, const Address& other, bool other_v6_only) {
  const Address a = one.unmapped();
  const Address b = other.unmapped();
  if (a.v6 == b.v6) return a.is_any() || b.is_any() || a.bytes == b.bytes;
  return a.v6 ? a.is_any() && !one_v6_only : b.is_any() && !other_v6_only;
}

// What tells most comes first: who listens, who is bound, a connection that a process has, one that ended.
int rank(const Socket& socket) {
  if (is_listening(socket)) return 0;
  if (socket.state == SocketState::bound) return 1;
  return socket.inode != 0 ? 2 : 3;
}

} // namespace

PortFreeCheck::PortFreeCheck(PortQuestion question, std::shared_ptr<Sockets> sockets)
    : question_(std::move(question)), sockets_(std::move(sockets)) {
  const Target& target = question_.target;
  const Family family = question_.family;
  const bool v6_only = family == Family::v6;
  if (target.kind == Target::Kind::address) {
    places_.push_back({{target.address, target.port}, v6_only});
    return;
  }
  const bool here = target.kind == Target::Kind::name; // localhost
  if (family != Family::v6)
    places_.push_back({{here ? Address::v4_loopback() : Address::v4_any(), target.port}});
  if (family != Family::v4)
    places_.push_back({{here ? Address::v6_loopback() : Address::v6_any(), target.port}, v6_only});
}

Answer PortFreeCheck::ask(const Deadline&) {
  // Our own socket ended as well when it could be bound: that is no reason to try again, and again.
  const bool woken = events_ && events_->drain();
  if (woken && last_ && last_->good() && Clock::now() - last_look_ < echo) return *last_;
  last_ = look();
  last_look_ = Clock::now();
  return *last_;
}

Answer PortFreeCheck::look() {
  for (;;) {
    auto bindable = try_places();
    if (!bindable) return cannot_look(question_.target, bindable.error());
    if (*bindable == Bindable::yes) return free_answer();
    if (*bindable == Bindable::not_local) return not_local();
    // What ends between the look and the subscription would be missed: so a second look follows it.
    if (!std::exchange(tried_to_subscribe_, true)) {
      subscribe();
      if (events_) continue;
    }
    return *bindable == Bindable::not_permitted ? judge_by_tables() : in_use();
  }
}

void PortFreeCheck::subscribe() {
  auto events = sockets_->subscribe(question_.target.protocol, question_.target.port);
  if (events)
    events_.emplace(std::move(*events));
  else
    limitation_ = fmt::format("{}: {}; asking again and again instead", port_label(question_.target),
                              events.error().text());
}

// The first result that is not yes; a family that the machine does not have is in nobody's way.
Result<Bindable> PortFreeCheck::try_places() {
  Bindable result = Bindable::not_local;
  for (const Place& place : places_) {
    auto bindable = try_bind(question_.target.protocol, place.endpoint, !question_.strict, place.v6_only);
    if (!bindable) return bindable;
    if (*bindable == Bindable::no_family || *bindable == Bindable::not_local) continue;
    if (*bindable != Bindable::yes) return bindable;
    result = Bindable::yes;
  }
  return result;
}

Answer PortFreeCheck::free_answer() const {
  return {Verdict::yes, "ok", fmt::format("{} is free", port_label(question_.target))};
}

Answer PortFreeCheck::not_local() const {
  return {.verdict = Verdict::no,
          .reason = "not-local",
          .sentence = fmt::format("{} is not an address of this machine", port_label(question_.target))};
}

Answer PortFreeCheck::in_use() {
  const auto listener = find_listener();
  const auto inode_of = [](const std::optional<Socket>& socket) { return socket ? socket->inode : 0; };
  const bool same = listener && inode_of(*listener) == inode_of(blocker_);
  const auto start = Clock::now();
  if (described_ && same && start < describe_due_) return *described_;
  described_ = describe();
  const auto end = Clock::now();
  describe_due_ = end + std::max<Clock::duration>(description_interval, description_share * (end - start));
  return *described_;
}

// Without the right to bind, nothing tells whether an ended connection would be in the way of a server that
// sets SO_REUSEADDR; those of servers that set it, as most do, are not.
Answer PortFreeCheck::judge_by_tables() {
  limitation_ =
      fmt::format("{}: no right to bind; judged by the socket tables", port_label(question_.target));
  auto listener = find_listener();
  if (!listener) return cannot_look(question_.target, listener.error());
  if (*listener) return in_use();
  if (!question_.strict) return free_answer();
  auto all = find_all();
  if (!all) return cannot_look(question_.target, all.error());
  return all->empty() ? free_answer() : in_use();
}

Result<std::optional<Socket>> PortFreeCheck::find_listener() {
  const Protocol protocol = question_.target.protocol;
  for (const Address& address : observed_addresses(question_.target, question_.family)) {
    auto socket = sockets_->receiver(protocol, {address, question_.target.port});
    if (!socket || *socket) return socket;
  }
  const States states = protocol == Protocol::tcp ? listening_states : all_states;
  auto all = sockets_->on_port(protocol, question_.target.port, states);
  if (!all) return forward_error(all);
  const auto found =
      std::find_if(all->begin(), all->end(), [&](const Socket& socket) { return is_in_the_way(socket); });
  if (found == all->end()) return std::optional<Socket>();
  return std::optional<Socket>(*found);
}

Result<std::vector<Socket>> PortFreeCheck::find_all() {
  auto all = sockets_->on_port(question_.target.protocol, question_.target.port, all_states);
  if (!all) return all;
  std::erase_if(*all, [&](const Socket& socket) { return !is_in_the_way(socket); });
  // Only the first one is looked at more closely.
  const auto telling = std::min_element(all->begin(), all->end(),
                                        [](const Socket& a, const Socket& b) { return rank(a) < rank(b); });
  if (telling != all->end()) std::iter_swap(all->begin(), telling);
  return all;
}

bool PortFreeCheck::is_in_the_way(const Socket& socket) const {
  return std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
    return overlap(place.endpoint.address, place.v6_only, socket.local.address,
                   socket.v6_only.value_or(false));
  });
}

bool PortFreeCheck::is_spared(const Holder& holder) const {
  if (question_.spare_unit.empty()) return false;
  if (question_.spare_sockets_only && !holder.unit.ends_with(".socket")) return false;
  return is_owned_by(holder, question_.spare_unit).value_or(false);
}

Answer PortFreeCheck::describe() {
  blocker_holder_.reset();
  auto listener = find_listener();
  if (!listener) return cannot_look(question_.target, listener.error());
  blocker_ = *listener;
  if (blocker_) return held_by(*blocker_, 0);
  auto all = find_all();
  if (!all) return cannot_look(question_.target, all.error());
  if (all->empty())
    return {.verdict = Verdict::no,
            .reason = "held",
            .sentence = fmt::format("{} is held by a socket that is neither listening nor connected",
                                    port_label(question_.target))};
  blocker_ = all->front();
  if (blocker_->inode == 0) return held_by_ended(*all);
  return held_by(*blocker_, all->size() - 1);
}

Answer PortFreeCheck::held_by(const Socket& socket, std::size_t others) {
  const std::string label = port_label(question_.target);
  blocker_holder_ = owner(socket);
  if (is_spared(*blocker_holder_))
    return {Verdict::yes, "ok", fmt::format("{} is held by its own {}", label, blocker_holder_->unit)};
  std::string sentence = fmt::format("{} is held by {}", label, blocker_holder_->text());
  if (socket.state == SocketState::bound) sentence += ", which is bound to it but does not listen";
  if (!is_listening(socket) && socket.state != SocketState::bound)
    sentence += fmt::format(", {} {} {}", state_name(socket.state), "with", socket.peer.text());
  if (others > 0) sentence += fmt::format(", and {} more", others);
  return {.verdict = Verdict::no, .reason = "held", .sentence = std::move(sentence)};
}

// Sockets that no process has any more: the kernel holds them until the other side, or the time, ends them.
Answer PortFreeCheck::held_by_ended(const std::vector<Socket>& sockets) {
  const auto longest = std::max_element(sockets.begin(), sockets.end(), [](const Socket& a, const Socket& b) {
    return a.time_left < b.time_left;
  });
  std::string sentence =
      fmt::format("{} is held by {} ended connection{} ({}", port_label(question_.target), sockets.size(),
                  sockets.size() == 1 ? "" : "s", state_name(sockets.front().state));
  // In steps, so that it is no new answer each time.
  const auto tens = std::chrono::ceil<std::chrono::seconds>(longest->time_left).count() / 10 + 1;
  if (longest->time_left > Duration::zero()) sentence += fmt::format(", at most {}s left", 10 * tens);
  return {.verdict = Verdict::no, .reason = "held", .sentence = sentence + ")"};
}

std::optional<PortHolder> PortFreeCheck::holder() {
  if (!blocker_ || !described_) return std::nullopt;
  PortHolder result{blocker_->protocol == Protocol::udp ? "UDP" : std::string(state_name(blocker_->state)),
                    {}};
  if (blocker_holder_) {
    result.holder = *blocker_holder_;
  } else {
    result.holder.uid = blocker_->uid;
    result.holder.unknown = "no process has it any more";
  }
  return result;
}

} // namespace safe_deploy
