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

bool same_port(const Target& own, const Target& asked) {
  if (own.is_unix() || asked.is_unix()) return own.kind == asked.kind && own.name == asked.name;
  return own.port == asked.port;
}

// As far as same_port() wants to know it.
Target asked_target(const HttpRequest& request) {
  Target target;
  target.port = request.url.port;
  if (request.unix_socket.empty()) return target;
  target.kind = Target::Kind::unix_path;
  target.name = request.unix_socket;
  return target;
}

std::optional<Answer> objection_of(const std::string& unit, const Target& target) {
  if (target.kind == Target::Kind::address && !is_local(target.address))
    return Answer::no("not-local",
                      fmt::format("the answer came from {}, which is not this machine: it cannot be {}'s",
                                  target.text, unit));
  Answer listener = make_listener_check(target, unit)->ask(Deadline::after(std::chrono::seconds(1)));
  if (listener.good()) return std::nullopt;
  listener.counts = true;
  return listener;
}

} // namespace

std::string Identity::wanted_unit(const Target& asked) const {
  return own_ && !same_port(*own_, asked) ? std::string() : unit_;
}

std::string Identity::wanted_unit(const HttpRequest& request) const {
  return wanted_unit(asked_target(request));
}

std::optional<Answer> Identity::objection(const HttpRequest& request, const HttpResponse& response) const {
  const std::string unit = wanted_unit(request);
  if (unit.empty()) return std::nullopt;
  const auto target = answering_target(request, response);
  if (!target) return Answer::no("unknown-owner", target.error().text());
  return objection_of(unit, *target);
}

std::optional<Answer> Identity::objection(const Target& asked, const Target& answering) const {
  const std::string unit = wanted_unit(asked);
  return unit.empty() ? std::nullopt : objection_of(unit, answering);
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

std::shared_ptr<Check> make_listener_gate(const Target& target, const Identity* identity) {
  if (!is_observable(target)) return nullptr;
  return make_listener_check(target, identity != nullptr ? identity->wanted_unit(target) : std::string());
}

std::shared_ptr<Check> make_own_listener_check(const Target& target, const std::string& unit) {
  return make_listener_check(target, unit);
}

} // namespace safe_deploy
