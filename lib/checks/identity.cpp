#include "checks/identity.hpp"

#include "checks/port_check.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

// Someone else who listens may be about to stop: unlike for port-wait that is not the end of the waiting.
class PatientListenerCheck final : public Check {
 public:
  explicit PatientListenerCheck(std::shared_ptr<Check> check) : check_(std::move(check)) {}

  Answer ask(const Deadline& deadline) override {
    Answer answer = check_->ask(deadline);
    if (answer.reason == "other-unit") answer.final = false;
    return answer;
  }
  [[nodiscard]] bool instant() const override { return check_->instant(); }
  [[nodiscard]] int wake_fd() const override { return check_->wake_fd(); }

 private:
  std::shared_ptr<Check> check_;
};

std::shared_ptr<Check> make_listener_check(const Target& target, const std::string& unit) {
  return std::make_shared<PatientListenerCheck>(
      make_port_check({.target = target, .unit = unit}, std::make_shared<Sockets>()));
}

// Where the answer came from.
Result<Target> answering_target(const HttpRequest& request, const HttpResponse& response) {
  if (!request.unix_socket.empty()) return parse_target("unix:" + request.unix_socket);
  auto address = parse_address(response.peer_address);
  if (!address) return forward_error(address);
  return Target{.text = Endpoint{*address, response.peer_port}.text(),
                .kind = Target::Kind::address,
                .port = response.peer_port,
                .address = *address,
                .name = {}};
}

bool same_port(const Target& own, const HttpRequest& request) {
  if (!request.unix_socket.empty())
    return own.kind == Target::Kind::unix_path && own.name == request.unix_socket;
  return !own.is_unix() && own.port == request.url.port;
}

} // namespace

std::string Identity::wanted_unit(const HttpRequest& request) const {
  return own_ && !same_port(*own_, request) ? std::string() : unit_;
}

std::optional<Answer> Identity::objection(const HttpRequest& request, const HttpResponse& response) const {
  const std::string unit = wanted_unit(request);
  if (unit.empty()) return std::nullopt;
  const auto no = [](std::string reason, std::string sentence) {
    return Answer{.verdict = Verdict::no, .reason = std::move(reason), .sentence = std::move(sentence)};
  };
  const auto target = answering_target(request, response);
  if (!target) return no("unknown-owner", target.error().text());
  if (target->kind == Target::Kind::address && !is_local(target->address))
    return no("not-local",
              fmt::format("the answer came from {}, which is not this machine: it cannot be {}'s",
                          target->text, unit));
  Answer listener = make_listener_check(*target, unit)->ask(Deadline::after(std::chrono::seconds(1)));
  if (listener.good()) return std::nullopt;
  listener.counts = true;
  return listener;
}

std::optional<Target> observable_target(const HttpRequest& request) {
  if (!request.unix_socket.empty()) {
    auto target = parse_target("unix:" + request.unix_socket);
    return target ? std::optional<Target>(std::move(*target)) : std::nullopt;
  }
  const bool v6 = request.url.host.find(':') != std::string::npos;
  const std::string host = v6 ? fmt::format("[{}]", request.url.host) : request.url.host;
  auto target = parse_target(fmt::format("{}:{}", host, request.url.port));
  if (!target || !is_observable(*target)) return std::nullopt;
  return std::move(*target);
}

std::shared_ptr<Check> make_listener_gate(const HttpRequest& request, const Identity* identity) {
  const auto target = observable_target(request);
  if (!target) return nullptr;
  return make_listener_check(*target, identity != nullptr ? identity->wanted_unit(request) : std::string());
}

std::shared_ptr<Check> make_own_listener_check(const Target& target, const std::string& unit) {
  return make_listener_check(target, unit);
}

} // namespace safe_deploy
