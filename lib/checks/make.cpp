#include "checks/make.hpp"

#include "checks/registry.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

Result<std::shared_ptr<Check>> make_check(const CheckSection& section, const CheckContext& context) {
  const auto* kind =
      std::find_if(registered_kinds.begin(), registered_kinds.end(),
                   [&](const RegisteredKind& known) { return known.keys.front().name == section.kind; });
  if (kind == registered_kinds.end())
    return fail(Outcome::bad_config, section.place.text(),
                fmt::format("{}: no such kind of check", section.kind));
  return kind->make(Values(section, context));
}

} // namespace safe_deploy
