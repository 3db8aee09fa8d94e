#include "checks/make.hpp"

#include "checks/disk_check.hpp"
#include "checks/http_check.hpp"
#include "checks/memory_check.hpp"
#include "checks/port_check.hpp"
#include "checks/restarts_check.hpp"
#include "checks/unit_check.hpp"
#include "checks/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

struct Maker {
  std::string_view kind;
  Result<std::shared_ptr<Check>> (*make)(const Values& values);
};

// One line a kind; checks/kinds.cpp has the keys that each takes.
constexpr std::array makers{
    Maker{"http", make_http_check},           Maker{"listening", make_listening_check},
    Maker{"port-free", make_port_free_check}, Maker{"unit", make_unit_check},
    Maker{"restarts", make_restarts_check},   Maker{"disk", make_disk_check},
    Maker{"memory", make_memory_check},
};

} // namespace

Result<std::shared_ptr<Check>> make_check(const CheckSection& section, const CheckContext& context) {
  const auto* maker = std::find_if(makers.begin(), makers.end(),
                                   [&](const Maker& known) { return known.kind == section.kind; });
  if (maker == makers.end())
    return fail(Outcome::bad_config, section.place.text(),
                fmt::format("{}: no such kind of check", section.kind));
  return maker->make(Values(section, context));
}

} // namespace safe_deploy
