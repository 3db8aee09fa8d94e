#pragma once

#include "report.hpp"

// The ids of the messages that the journal catalog explains (units/safe-deploy.catalog).
namespace safe_deploy {

inline constexpr MessageId message_refused =
    "ac6e7fb22583470bb9da5b74082c2b4d"; // preflight refused the deploy: nothing was changed
inline constexpr MessageId message_deployed = "a5dd76e28eed4ba3a79a3878fbd12aa0"; // a release is good
inline constexpr MessageId message_rolled_back =
    "93bf3623760e4837b0c35cc81dae56bc"; // the candidate failed, the release before it runs again
inline constexpr MessageId message_stuck =
    "e98aa03dc3bd443cac075985f938df3c"; // the rollback failed, too: a person is needed
inline constexpr MessageId message_port_held =
    "c73f36cef7cb404fb721b43f24814cc0"; // the port is held by somebody else
inline constexpr MessageId message_interrupted =
    "b826823e6cad4ad380568df48497ada4"; // a deploy that a crash or reboot cut short was put right
inline constexpr MessageId message_record_set_aside =
    "e8853b8738c14b49b848f85b05e05665"; // the record could not be read and was set aside
inline constexpr MessageId message_unhealthy =
    "e9c5435c7ab145f29a739deb4bfbb523"; // the app did not become healthy
inline constexpr MessageId message_not_pruned =
    "2a22a7913ede47a1b66432c82b04cc75"; // an old release could not be removed

inline constexpr MessageId message_on_probation =
    "4cdaf74f0c0b4aa9b4b6df16ee02cb91"; // a release is healthy, and watched before it is called good
inline constexpr MessageId message_watch_failed =
    "3f9e6f2d6a5b4c7f9f0ce3a1b7d82e64"; // what is on probation failed
inline constexpr MessageId message_check_failed =
    "b0a2f9f54d2c4a0f8be1c7a9d35e6f18"; // the monitor: a check that said yes says no
inline constexpr MessageId message_recovered =
    "7d1c40b36a7e4f3c9a8452e0f6b91cd3"; // the monitor: and says yes again
inline constexpr MessageId message_app_failed =
    "e2c8d8577b0f4c0d86a3f1957a4be0c2"; // the app's unit failed, and not in a deploy
inline constexpr MessageId message_incident =
    "95f1e7a04cf94c82b3d60b8e5d7a1f36"; // an incident was opened, or happened once more

} // namespace safe_deploy
