#pragma once

#include "asker.hpp"
#include "config.hpp"
#include "error.hpp"
#include "ledger.hpp"
#include "link.hpp"
#include "releases.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

// The three things that move an app's `current`: a deploy, a rollback, and the repair after a crash. Each
// holds the record's lock from the first look to the last line, writes what it intends before it does it, and
// `previous` before `current`.
namespace safe_deploy {

// Where the record and the requests are; the app's own directory is below.
struct Places {
  std::string state_dir;
  std::string run_dir;
};

// Of the probation that goes on; nothing where there is none, or it began before the last boot.
std::optional<Duration> probation_left(const State& state, const Config& config, const Moment& now);

// Why there can be no other deploy while there is a candidate, for people.
std::string what_is_under_way(const State& state, const Config& config);

struct SwapRequest {
  std::optional<std::string> release; // else the request RUN_DIR/APP/next, else the newest
  bool force = false;                 // also one that is bad, if it is named, or current already
  bool durable = true;
  bool dry_run = false;
  Asker by = {}; // who asks; of a request in RUN_DIR it is who left it
};

// Which release swap_to_release() would take, for preflight: the one asked for, the one requested in RUN_DIR,
// or the newest. Outcome::no if there is none, or it may not be deployed.
struct ToDeploy {
  std::string release;
  bool force = false;
  Asker by = {};
};
Result<ToDeploy> release_to_deploy(const Releases& releases, const State& state, const Config& config,
                                   const Places& places, const SwapRequest& request);

// idle -> prepared -> swapped. Nothing changes if the release is current already and nothing is under way,
// except by force: then it is deployed once more, and if it fails it is left for what ran well before it.
// Errors: no (no such release, bad, incomplete, nothing to deploy), busy (a deploy is under way), bad_config,
// os_error; the state is then as it was.
Result<Moved> swap_to_release(const Config& config, const Places& places, const SwapRequest& request);

// The reason of a rollback that somebody asked for.
inline constexpr std::string_view rolled_back_by_hand = "rolled back by hand";

struct RollbackRequest {
  std::optional<std::string>
      release;        // else the request RUN_DIR/APP/rollback, else previous or the newest good one
  std::string reason; // else what was noted when the candidate failed
  bool durable = true;
  bool dry_run = false;
  Asker by = {};              // who asks; of a request in RUN_DIR it is who left it
  std::string otherwise = {}; // why a candidate is left where nothing was noted
};

// Any phase -> rolling-back. Unchanged if the current release is good and neither a release nor a reason nor
// a request is given. What is in the place of a request and is none does not keep a candidate from being
// left. Errors: no (no good release, irreversible, incomplete), bad_config, os_error.
Result<Moved> roll_back(const Config& config, const Places& places, const RollbackRequest& request);

// Whether what is under way by the record is so no more. Asked while the record is locked; an error keeps it
// as it is.
using MayRepair = std::function<Result<void>(const State&)>;

// After a crash or a reboot: brings the link and the record together again. Idempotent. `note` says what was
// found and done.
Result<Moved> reconcile(const Config& config, const Places& places, bool durable = true,
                        const MayRepair& may_repair = {});

// Whether a deploy unit has something to do, also where that is to refuse.
Result<bool> is_outdated(const Config& config, const Places& places);

// What somebody has asked of the next deploy and rollback; a request that makes no sense is left to these to
// refuse.
std::vector<std::string> requested_releases(const Config& config, const Places& places);

// Whether there is a candidate that a failure leads back from, and whether somebody has asked for a rollback.
Result<bool> has_candidate_to_leave(const Places& places, const std::string& app);
Result<bool> is_rollback_asked_for(const Places& places, const std::string& app);

} // namespace safe_deploy
