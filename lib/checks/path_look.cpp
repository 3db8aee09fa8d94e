#include "checks/path_look.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

namespace safe_deploy {

Answer cannot_see(const std::string& path, const Error& error, const Deadline& deadline) {
  const std::string shown = printable(path);
  if (error.outcome() == Outcome::timed_out)
    return Answer::no("timeout", fmt::format("{}: its file system does not answer within {}", shown,
                                             format_duration(deadline.given())));
  if (error.code.category() != std::system_category()) // the process that looks ended
    return Answer::skipped("process", fmt::format("{}: {}", shown, error.problem));
  const std::string sentence = fmt::format("{}: {}", shown, error.code.message());
  switch (error.code.value()) {
    case ENOENT:
    case ENOTDIR: // what should hold it is a file
      return Answer::no("missing", fmt::format("{}: does not exist", shown));
    case EACCES:
    case EPERM:
      return Answer::skipped("permission", sentence);
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOMEM: // no process can be made to look
      return Answer::skipped("process", fmt::format("{}: cannot look: {}", shown, error.code.message()));
    default: // ESTALE, ENOTCONN, EIO, ELOOP: it is broken
      return Answer::no("unreadable", sentence);
  }
}

} // namespace safe_deploy
