#pragma once

#include "checks/disk_check.hpp"
#include "checks/http_check.hpp"
#include "checks/kinds.hpp"
#include "checks/memory_check.hpp"
#include "checks/port_check.hpp"
#include "checks/restarts_check.hpp"
#include "checks/unit_check.hpp"
#include "checks/values.hpp"

#include <array>
#include <memory>
#include <span>

namespace safe_deploy {

struct RegisteredKind {
  std::span<const KindKey> keys;                                // for every reader of a configuration
  Result<std::shared_ptr<Check>> (*make)(const Values& values); // for who asks
};

// All kinds of check: one line a kind. What a kind is, its keys and its making, is in its own file.
inline constexpr std::array registered_kinds{
    RegisteredKind{http_keys, make_http_check},
    RegisteredKind{listening_keys, make_listening_check},
    RegisteredKind{port_free_keys, make_port_free_check},
    RegisteredKind{unit_keys, make_unit_check},
    RegisteredKind{restarts_keys, make_restarts_check},
    RegisteredKind{disk_keys, make_disk_check},
    RegisteredKind{memory_keys, make_memory_check},
};

} // namespace safe_deploy
