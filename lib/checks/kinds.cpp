#include "checks/kinds.hpp"

#include "checks/registry.hpp"

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

// At compile time: a tool that only reads a configuration must not be linked with what the checks need, such
// as libcurl.
consteval auto registered() {
  std::array<Kind, registered_kinds.size()> kinds{};
  for (std::size_t i = 0; i < kinds.size(); ++i)
    kinds[i] = {registered_kinds[i].keys.front().name, registered_kinds[i].keys};
  return kinds;
}

constexpr auto kinds = registered();

} // namespace

const KindKey* Kind::find_key(std::string_view key) const {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const KindKey& one) { return one.name == key; });
  return found == keys.end() ? nullptr : &*found;
}

std::span<const Kind> check_kinds() {
  return kinds;
}

const Kind* find_check_kind(std::string_view name) {
  const auto* found =
      std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : found;
}

} // namespace safe_deploy
