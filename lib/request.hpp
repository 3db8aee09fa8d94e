#pragma once

#include "asker.hpp"
#include "config.hpp"
#include "error.hpp"

#include <optional>
#include <string>

// What people ask of the units: RUN_DIR/APP/next and RUN_DIR/APP/rollback, symlinks whose text is the name of
// a release. Beside each there may be a file of the same name and ".asked" with what the asker tells of
// himself. Members of the group safe-deploy may write there: all of it is hostile, and a release's name is
// all that anybody can ask for.
namespace safe_deploy {

enum class RequestKind { deploy, rollback };

// The name of the symlink: "next", "rollback".
std::string request_name(RequestKind kind);

struct Request {
  std::string release = {};
  bool force = false; // believed of root only
  Asker by = {};
};

// Nothing where nobody asked. Outcome::no, with the path, where what is there is no request: it is left for
// the deploy to refuse.
Result<std::optional<Request>> read_request(const std::string& run_dir, const Config& config,
                                            RequestKind kind);
// Whether there is something, whatever it is.
Result<bool> has_request(const std::string& run_dir, const std::string& app, RequestKind kind);

// The directory of an app's requests, made where it is missing: it gets the group of RUN_DIR, whose members
// may write there, and nobody can take or rename what is somebody else's (the sticky bit). Only root can make
// it. Errors: os_error.
Result<void> make_request_directory(const std::string& run_dir, const std::string& app);

// Leaves a request, in the place of one that is there; the directory of the app is made where it is missing
// and the caller may do so. Errors: os_error (EACCES: neither root nor a member of the group; EPERM: somebody
// else's request is there; ENOENT: there is no directory, and root must make it).
Result<void> leave_request(const std::string& run_dir, const std::string& app, RequestKind kind,
                           const Request& request);

// Removes it, whatever it is.
void drop_request(const std::string& run_dir, const std::string& app, RequestKind kind);

} // namespace safe_deploy
