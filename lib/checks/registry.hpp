#pragma once

#include "checks/certificate_check.hpp"
#include "checks/disk_check.hpp"
#include "checks/environment_check.hpp"
#include "checks/exec_check.hpp"
#include "checks/http_check.hpp"
#include "checks/inodes_check.hpp"
#include "checks/journal_check.hpp"
#include "checks/kinds.hpp"
#include "checks/load_check.hpp"
#include "checks/memory_check.hpp"
#include "checks/metric_check.hpp"
#include "checks/path_check.hpp"
#include "checks/port_check.hpp"
#include "checks/pressure_check.hpp"
#include "checks/restarts_check.hpp"
#include "checks/tcp_check.hpp"
#include "checks/unit_check.hpp"
#include "checks/unit_memory_check.hpp"
#include "checks/values.hpp"

#include <array>
#include <memory>
#include <span>

namespace safe_deploy {

struct RegisteredKind {
  std::span<const KindKey> keys;                                // for every reader of a configuration
  Result<std::shared_ptr<Check>> (*make)(const Values& values); // for who asks
  const Explanation* explained;
};

// All kinds of check: one line a kind. What a kind is, its keys and its making, is in its own file.
inline constexpr std::array registered_kinds{
    RegisteredKind{http_keys, make_http_check, &http_explained},
    RegisteredKind{tcp_keys, make_tcp_check, &tcp_explained},
    RegisteredKind{listening_keys, make_listening_check, &listening_explained},
    RegisteredKind{port_free_keys, make_port_free_check, &port_free_explained},
    RegisteredKind{unit_keys, make_unit_check, &unit_explained},
    RegisteredKind{restarts_keys, make_restarts_check, &restarts_explained},
    RegisteredKind{disk_keys, make_disk_check, &disk_explained},
    RegisteredKind{inodes_keys, make_inodes_check, &inodes_explained},
    RegisteredKind{path_keys, make_path_check, &path_explained},
    RegisteredKind{memory_keys, make_memory_check, &memory_explained},
    RegisteredKind{load_keys, make_load_check, &load_explained},
    RegisteredKind{pressure_keys, make_pressure_check, &pressure_explained},
    RegisteredKind{environment_keys, make_environment_check, &environment_explained},
    RegisteredKind{journal_keys, make_journal_check, &journal_explained},
    RegisteredKind{unit_memory_keys, make_unit_memory_check, &unit_memory_explained},
    RegisteredKind{certificate_keys, make_certificate_check, &certificate_explained},
    RegisteredKind{metric_keys, make_metric_check, &metric_explained},
    RegisteredKind{exec_keys, make_exec_check, &exec_explained},
};

} // namespace safe_deploy
