#include "checks/listening_check.hpp"

#include "reach.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

constexpr auto hint_interval = std::chrono::milliseconds(500);

} // namespace

ListeningCheck::ListeningCheck(PortQuestion question, std::shared_ptr<Sockets> sockets)
    : question_(std::move(question)),
      sockets_(std::move(sockets)),
      addresses_(observed_addresses(question_.target, question_.family)),
      label_(port_label(question_.target)) {}

Answer ListeningCheck::ask(const Deadline& deadline) {
  seen_.reset();
  std::optional<Answer> other;
  auto sockets = sockets_->receivers(question_.target.protocol, addresses_, question_.target.port);
  if (!sockets) return ask_by_connecting(sockets.error(), deadline);
  for (const auto& socket : *sockets) {
    if (!socket) continue;
    Answer answer = judge(*socket);
    if (answer.good() || !other) seen_ = socket;
    if (answer.good()) return answer;
    if (!other) other = std::move(answer);
  }
  return other ? *other : nobody();
}

// The last resort, where neither sock_diag nor /proc/net can be read.
Answer ListeningCheck::ask_by_connecting(const Error& why, const Deadline& deadline) {
  if (question_.target.protocol == Protocol::udp || !question_.unit.empty())
    return cannot_look(question_.target, why);
  std::vector<Endpoint> endpoints;
  for (const Address& address : addresses_) endpoints.push_back({address, question_.target.port});
  const auto reached = reach(endpoints, deadline.earlier(Deadline::after(std::chrono::seconds(1))));
  if (any_connected(reached)) return {Verdict::yes, "ok", fmt::format("{} is listened on", label_)};
  return {.verdict = Verdict::no,
          .reason = "not-listening",
          .sentence = fmt::format("nothing listens on {} ({})", label_, join_texts(reached)),
          .counts = false};
}

Answer ListeningCheck::judge(const Socket& socket) {
  if (!question_.unit.empty()) return judge_owners(socket);
  return {Verdict::yes, "ok", fmt::format("{} is listened on", label_)};
}

// Several sockets that set SO_REUSEPORT share what arrives: each of them must be the unit's.
Answer ListeningCheck::judge_owners(const Socket& socket) {
  const std::string& unit = question_.unit;
  const Holder* mine = nullptr;
  for (const Socket& one : group_of(socket)) {
    const Holder& holder = owner_of(one);
    const auto owned = is_owned_by(holder, unit);
    if (owned && !*owned)
      return {.verdict = Verdict::no,
              .reason = "other-unit",
              .sentence = fmt::format("{} is held by {}, not by {}", label_, holder.text(), unit),
              .final = true};
    if (!owned)
      return {.verdict = Verdict::no,
              .reason = "unknown-owner",
              .sentence = fmt::format("{} is listened on, but whether by {} cannot be told: {}", label_, unit,
                                      holder.text()),
              .final = true};
    mine = &holder;
  }
  return {Verdict::yes, "ok", fmt::format("{} is listened on by {}", label_, mine->unit)};
}

std::vector<Socket> ListeningCheck::group_of(const Socket& socket) {
  auto all = sockets_->on_port(socket.protocol, socket.local.port, state_bit(socket.state));
  if (!all) return {socket};
  std::erase_if(*all, [&](const Socket& other) { return other.local != socket.local; });
  // One that has ended since is told as it was.
  return all->empty() ? std::vector{socket} : *std::move(all);
}

const Holder& ListeningCheck::owner_of(const Socket& socket) {
  const auto known = owners_.find(socket.inode);
  if (known != owners_.end()) return known->second;
  Holder holder = owner_unit(socket);
  if (!is_owned_by(holder, question_.unit).value_or(false)) holder = owner(socket);
  return owners_.insert_or_assign(socket.inode, std::move(holder)).first->second;
}

// The answer that is given every few milliseconds.
const Answer& ListeningCheck::nobody() {
  const auto now = Clock::now();
  if (now >= hint_due_) {
    nobody_ = {.verdict = Verdict::no,
               .reason = "not-listening",
               .sentence = fmt::format("nothing listens on {}{}", label_, hint()),
               .counts = false};
    hint_due_ = now + hint_interval;
  }
  return nobody_;
}

// What comes close: the same port at another address.
std::string ListeningCheck::hint() {
  const Target& target = question_.target;
  const bool tcp = target.protocol == Protocol::tcp;
  const auto sockets =
      sockets_->on_port(target.protocol, target.port, tcp ? listening_states : state_bit(SocketState::close));
  if (!sockets || sockets->empty()) return {};
  const Socket& near = sockets->front();
  const bool only = near.v6_only.value_or(false) && near.local.address.is_any();
  return fmt::format(", only on {}{}", near.local.text(), only ? " (IPv6 only)" : "");
}

std::optional<PortHolder> ListeningCheck::holder() {
  if (!seen_) return std::nullopt;
  return PortHolder{seen_->protocol == Protocol::udp ? "UDP" : std::string(state_name(seen_->state)),
                    owner(*seen_)};
}

} // namespace safe_deploy
