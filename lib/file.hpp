#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "fd.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

// The whole of a regular file. Errors: os_error; Outcome::no if it is not a regular file or longer than
// `limit` bytes. Neither a FIFO nor a device makes it wait.
Result<std::string> read_file_at(int directory, const std::string& name, const std::string& shown,
                                 std::size_t limit);

// Replaces directory/name by `content` in one step: a temporary file is written, synced and renamed over it,
// the directory is synced. Afterwards the file is read back: what a full or broken disk lost is an error, not
// a surprise later.
Result<void> replace_file_at(int directory, const std::string& name, const std::string& shown,
                             std::string_view content, mode_t mode);

// Appends one line and syncs it. A torn last line of an earlier crash is ended first, so that it spoils
// itself only.
Result<void> append_line_at(int directory, const std::string& name, const std::string& shown,
                            std::string_view line, mode_t mode);

Result<Fd> open_directory(const std::string& path);

// Whether `path`, relative to `directory`, exists and is below it, wherever symlinks lead on the way.
bool exists_beneath(int directory, const std::string& path);

// flock(2), exclusively, for as long as the descriptor lives. Somebody may hold it for ever: Outcome::busy
// when the deadline has passed.
Result<void> lock_file(int fd, const std::string& shown, const Deadline& deadline);

Result<void> sync_directory(int directory, const std::string& shown);

} // namespace safe_deploy
