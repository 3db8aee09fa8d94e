#include "checks/host_port_check.hpp"

#include "checks/listening_check.hpp"
#include "checks/port_free_check.hpp"
#include "reach.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

// What an address of this machine said, in the words of one that was connected to.
std::string brief(const Address& address, const Answer& answer, bool free) {
  if (free) return fmt::format("{} {}", address.text(), answer.good() ? "is free" : "is held");
  return fmt::format("{} {}", address.text(), answer.good() ? "is listened on" : "is not listened on");
}

// Ends a little before the deadline, so that what the addresses said is known when it passes.
Deadline in_time_to_tell(const Deadline& deadline) {
  if (deadline.is_never()) return deadline;
  const Duration margin = std::min<Duration>(std::chrono::milliseconds(10), deadline.remaining() / 4);
  return Deadline::at(deadline.when() - margin);
}

std::string reason_of(const std::vector<Reached>& reached) {
  if (any_connected(reached)) return "open";
  if (all_refused(reached)) return "refused";
  const bool timed_out = std::any_of(reached.begin(), reached.end(),
                                     [](const Reached& one) { return one.how == Reached::How::timed_out; });
  return timed_out ? "timeout" : "unreachable";
}

} // namespace

Result<std::vector<Address>> HostPortCheck::addresses() const {
  const Target& target = question_.target;
  if (target.kind != Target::Kind::name || is_localhost(target.name))
    return observed_addresses(target, question_.family);
  return resolve(target.name, question_.family);
}

Answer HostPortCheck::judge(bool yes, std::string reason, const std::string& what) const {
  return {.verdict = yes ? Verdict::yes : Verdict::no,
          .reason = yes ? "ok" : std::move(reason),
          .sentence = fmt::format("{}: {}", port_label(question_.target), what),
          .counts = false};
}

PortQuestion HostPortCheck::question_for(const Address& address) const {
  PortQuestion one = question_;
  one.target.kind = Target::Kind::address;
  one.target.address = address;
  return one;
}

Answer HostPortCheck::ask_unix() const {
  const Reached reached = reach_unix(question_.target);
  const bool absent = reached.how == Reached::How::refused || reached.error_number == ENOENT;
  const bool yes = question_.free ? absent : reached.how == Reached::How::connected;
  return judge(yes, reason_of({reached}), reached.text());
}

Answer HostPortCheck::ask(const Deadline& deadline) {
  if (question_.target.is_unix()) return ask_unix();
  auto found = addresses();
  if (!found) {
    Answer answer = judge(false, "lookup", found.error().problem);
    return answer;
  }
  std::vector<Endpoint> foreign;
  std::vector<std::string> words;
  bool any_yes = false;
  bool all_yes = true;
  std::string reason = "not-listening";
  const auto sockets = std::make_shared<Sockets>();
  for (const Address& address : *found) {
    if (question_.connect || !is_local(address)) {
      foreign.push_back({address, question_.target.port});
      continue;
    }
    PortQuestion one = question_for(address);
    Answer answer = question_.free ? PortFreeCheck(std::move(one), sockets).ask(deadline)
                                   : ListeningCheck(std::move(one), sockets).ask(deadline);
    if (answer.final) return answer;
    if (!answer.good()) reason = answer.reason;
    any_yes = any_yes || answer.good();
    all_yes = all_yes && answer.good();
    words.push_back(brief(address, answer, question_.free));
  }
  const bool udp = question_.target.protocol == Protocol::udp;
  if (!foreign.empty() && !any_yes && (udp || !question_.unit.empty())) {
    Answer answer =
        judge(false, "not-local",
              fmt::format(
                  "{} is another machine's: only its TCP ports can be seen from here, and not whose they are",
                  foreign.front().address.text()));
    answer.final = true;
    return answer;
  }
  if (!foreign.empty() && (question_.free || !any_yes)) {
    const auto reached = reach(foreign, in_time_to_tell(deadline));
    reason = reason_of(reached);
    any_yes = any_yes || any_connected(reached);
    all_yes = all_yes && all_refused(reached);
    words.push_back(join_texts(reached));
  }
  return judge(question_.free ? all_yes : any_yes, reason, fmt::format("{}", fmt::join(words, ", ")));
}

} // namespace safe_deploy
