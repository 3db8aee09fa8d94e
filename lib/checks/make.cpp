#include "checks/make.hpp"

#include "checks/registry.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

const RegisteredKind* find_registered(std::string_view name) {
  const auto* found =
      std::find_if(registered_kinds.begin(), registered_kinds.end(),
                   [&](const RegisteredKind& kind) { return kind.keys.front().name == name; });
  return found == registered_kinds.end() ? nullptr : found;
}

} // namespace

Result<std::shared_ptr<Check>> make_check(const CheckSection& section, const CheckContext& context) {
  const RegisteredKind* kind = find_registered(section.kind);
  if (kind == nullptr)
    return fail(Outcome::bad_config, section.place.text(),
                fmt::format("{}: no such kind of check", section.kind));
  return kind->make(Values(section, context));
}

const Explanation& explain_kind(std::string_view kind) {
  return *find_registered(kind)->explained;
}

} // namespace safe_deploy
