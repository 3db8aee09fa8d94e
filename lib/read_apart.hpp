#pragma once

#include "apart.hpp"
#include "deadline.hpp"
#include "error.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// Reads files whose place somebody else chose, by a process of its own, see Apart: a file system that is dead
// holds whoever opens a file there. To be kept from ask to ask. One call at a time.
//
// Errors: os_error; Outcome::no for what is not a regular file, or too long; timed_out where the file system
// does not answer by the deadline.
class FileApart {
 public:
  FileApart();

  // The whole of a regular file of at most `limit` bytes.
  Result<std::string> read(const std::string& path, std::size_t limit, const Deadline& deadline);

  // The same in pieces, without a limit, as long as `take` says that more is wanted.
  Result<void> read(const std::string& path, const std::function<bool(std::string_view piece)>& take,
                    const Deadline& deadline);

  // The files that match a pattern of glob(7); none is no error.
  Result<std::vector<std::string>> matching(const std::string& pattern, const Deadline& deadline);

  // Whether there is anything at that path.
  Result<bool> exists(const std::string& path, const Deadline& deadline);

 private:
  Result<std::string> ask(char what, const std::string& path, const Deadline& deadline);

  Apart apart_;
};

// It was not permitted, or there was nothing left of what the machine has for it: that says nothing of the
// file.
bool is_not_permitted(const Error& error);
bool is_out_of_resources(const Error& error);

} // namespace safe_deploy
