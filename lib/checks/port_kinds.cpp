#include "checks/port_check.hpp"
#include "checks/values.hpp"

namespace safe_deploy {

Result<std::shared_ptr<Check>> make_listening_check(const Values& values) {
  auto target = values.parsed("listening", parse_target, Target());
  if (!target) return forward_error(target);
  return make_port_check({.target = std::move(*target)}, std::make_shared<Sockets>());
}

Result<std::shared_ptr<Check>> make_port_free_check(const Values& values) {
  auto target = values.parsed("port-free", parse_target, Target());
  if (!target) return forward_error(target);
  return make_port_check({.target = std::move(*target), .free = true, .spare_unit = values.context().unit},
                         std::make_shared<Sockets>());
}

} // namespace safe_deploy
