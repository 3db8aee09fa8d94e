#include "checks/drain_check.hpp"

#include "checks/port_check.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>

namespace safe_deploy {

namespace {

// Not in between: connections of a busy port end all the time.
constexpr auto shortest_pause = std::chrono::milliseconds(20);
constexpr int look_share = 20; // at most one part in so many of the time goes into looking

constexpr States open_states = state_bit(SocketState::established) | state_bit(SocketState::close_wait) |
                               state_bit(SocketState::fin_wait1) | state_bit(SocketState::fin_wait2) |
                               state_bit(SocketState::closing) | state_bit(SocketState::last_ack);

bool is_here(const Target& target, const Address& local) {
  const Address address = local.unmapped();
  switch (target.kind) {
    case Target::Kind::port:
      return true;
    case Target::Kind::name: // localhost
      return address.is_loopback();
    case Target::Kind::address:
      if (target.address.is_any()) return target.address.v6 || !address.v6;
      return address == target.address.unmapped();
    default:
      return false;
  }
}

std::string label(const std::vector<Target>& targets) {
  if (targets.size() == 1) return port_label(targets.front());
  std::string text;
  for (const auto& target : targets)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", port_label(target));
  return text;
}

} // namespace

Result<void> check_drainable(const Target& target) {
  const auto refuse = [&](const char* why) { return fail(Outcome::usage, target.text, why); };
  if (target.is_unix()) return refuse("is no port: connections of TCP ports are counted");
  if (target.protocol == Protocol::udp) return refuse("UDP has no connections");
  if (target.kind == Target::Kind::name && !is_localhost(target.name))
    return refuse("is a name: say the port alone, or with an address of this machine");
  if (target.kind == Target::Kind::address && !is_local(target.address))
    return refuse("is not of this machine");
  return {};
}

DrainCheck::DrainCheck(DrainQuestion question, std::shared_ptr<Sockets> sockets)
    : question_(std::move(question)), sockets_(std::move(sockets)) {}

Answer DrainCheck::ask(const Deadline&) {
  // Before the look: what ends after it is told.
  if (!std::exchange(tried_to_subscribe_, true)) subscribe();
  drain_events();
  const auto start = Clock::now();
  if (last_ && start < next_look_) return *last_;
  last_ = look();
  const auto end = Clock::now();
  next_look_ = end + std::max<Clock::duration>(shortest_pause, look_share * (end - start));
  return *last_;
}

void DrainCheck::subscribe() {
  wake_.reset(epoll_create1(EPOLL_CLOEXEC));
  for (const auto& target : question_.targets) {
    auto events = sockets_->subscribe(Protocol::tcp, target.port);
    if (!events) {
      limitation_ =
          fmt::format("{}: {}; looking again and again instead", port_label(target), events.error().text());
      continue;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    if (wake_ && epoll_ctl(wake_.get(), EPOLL_CTL_ADD, events->fd(), &event) == 0)
      events_.push_back(std::move(*events));
  }
}

void DrainCheck::drain_events() {
  for (auto& events : events_) (void)events.drain();
}

bool DrainCheck::counts(const Socket& socket, const Target& target) const {
  // Of one that no process has any more everything has arrived in FIN_WAIT2 (RFC 9293, 3.6).
  if (socket.state == SocketState::fin_wait2 && socket.inode == 0) return false;
  if (!is_here(target, socket.local.address)) return false;
  return std::none_of(question_.excluded.begin(), question_.excluded.end(),
                      [&](const Network& network) { return network.contains(socket.peer.address); });
}

Result<std::vector<Socket>> DrainCheck::find_all() {
  std::vector<Socket> found;
  for (const auto& target : question_.targets) {
    auto sockets = sockets_->on_port(Protocol::tcp, target.port, open_states);
    if (!sockets) return sockets;
    for (auto& socket : *sockets)
      if (counts(socket, target)) found.push_back(std::move(socket));
  }
  return found;
}

Answer DrainCheck::look() {
  auto found = find_all();
  if (!found) return cannot_look(question_.targets.front(), found.error());
  std::map<Ends, OpenConnection> now;
  for (auto& socket : *found) {
    const Ends ends{socket.local, socket.peer};
    const auto before = open_.find(ends);
    // The same ends may be another connection by now.
    const bool same = before != open_.end() && (before->second.socket.inode == socket.inode ||
                                                before->second.socket.inode == 0 || socket.inode == 0);
    now.insert_or_assign(ends, OpenConnection{std::move(socket), same ? before->second.seen : Clock::now()});
  }
  open_ = std::move(now);
  return judge();
}

Answer DrainCheck::judge() const {
  const auto established =
      static_cast<std::size_t>(std::count_if(open_.begin(), open_.end(), [](const auto& each) {
        return each.second.socket.state == SocketState::established;
      }));
  const bool drained = open_.size() <= question_.most;
  const std::string accepted = question_.most == 0 ? "" : fmt::format(", {} are accepted", question_.most);
  Answer answer{.verdict = drained ? Verdict::yes : Verdict::no,
                .reason = drained ? "ok" : "connections",
                .sentence = fmt::format("{}: {} connection{}{}", label(question_.targets),
                                        open_.empty() ? "no" : std::to_string(open_.size()),
                                        open_.size() == 1 ? "" : "s", accepted)};
  answer.figures = {{"connections", static_cast<double>(open_.size()), ""},
                    {"established", static_cast<double>(established), ""},
                    {"closing", static_cast<double>(open_.size() - established), ""}};
  return answer;
}

std::vector<OpenConnection> DrainCheck::connections() const {
  std::vector<OpenConnection> all;
  for (const auto& [ends, connection] : open_) all.push_back(connection);
  std::stable_sort(all.begin(), all.end(),
                   [](const OpenConnection& a, const OpenConnection& b) { return a.seen < b.seen; });
  return all;
}

std::string DrainCheck::limitation() const {
  if (limitation_.empty() || sockets_->limitation().empty()) return limitation_ + sockets_->limitation();
  return fmt::format("{}; {}", limitation_, sockets_->limitation());
}

} // namespace safe_deploy
