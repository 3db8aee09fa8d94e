#pragma once

#include <tl/expected.hpp>

#include <cerrno>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace safe_deploy {

// How a tool ends when it does not succeed. The numbers are the exit codes of every tool: 71 and 78 are
// EX_OSERR and EX_CONFIG of sysexits(3head), 75 is EX_TEMPFAIL, 124 is what timeout(1) uses.
enum class Outcome {
  no = 1,
  usage = 2,
  os_error = 71,
  busy = 75,
  bad_config = 78,
  timed_out = 124,
};

std::error_code make_error_code(Outcome outcome);

// What was tried, on what, and how it failed. `code` holds either an Outcome or an errno of the system
// category; an errno means that the operating system refused.
struct Error {
  std::string subject; // a path, a unit, a port, a URL
  std::string problem; // what was tried, or what is wrong: "cannot open", "is not a symlink"
  std::error_code code;

  // "subject: problem" and, for a system error, ": " and the text of the errno.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] Outcome outcome() const;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] tl::unexpected<Error> fail(Outcome outcome, std::string subject, std::string problem);

// The errno is taken as an argument, so that it is read before anything else can change it.
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string subject, std::string problem,
                                               int error_number = errno);

// Hands the error of a failed Result on to a Result of another type.
template <class T>
[[nodiscard]] tl::unexpected<Error> forward_error(Result<T>& failed) {
  return tl::unexpected<Error>(std::move(failed.error()));
}

} // namespace safe_deploy

template <>
struct std::is_error_code_enum<safe_deploy::Outcome> : std::true_type {};
