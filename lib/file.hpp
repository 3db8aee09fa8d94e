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

// No blocks, or no inode, are left; or none for this user.
bool is_full(const Error& error);

// A file beside another one, whose blocks on the disk are its own already: what is still written when the
// disk is full. `size` bytes are kept in either of the two.
struct Spare {
  std::string name = {};
  std::size_t size = 0;
};

// Sees to it that there is a spare file with room for its size. os_error where there is no room for it; a
// file system that cannot keep room is passed over.
Result<void> keep_spare_at(int directory, const Spare& spare, const std::string& shown);

// Replaces directory/name by `content` in one step: a temporary file is written, synced and renamed over it,
// the directory is synced. Afterwards the file is read back: what a full or broken disk lost is an error, not
// a surprise later. Where there is no room, the spare file is written instead and takes the place in
// exchange, so that there is one again for the next time; blank lines at the end may make up for what it held
// before.
Result<void> replace_file_at(int directory, const std::string& name, const std::string& shown,
                             std::string_view content, mode_t mode, const Spare& spare = {});

// Appends one line and syncs it. A torn last line of an earlier crash is ended first, so that it spoils
// itself only. Returns how long the file was before, for cut_file_at().
Result<off_t> append_line_at(int directory, const std::string& name, const std::string& shown,
                             std::string_view line, mode_t mode);

// Cuts a file to a length; what cannot be done is passed over.
void cut_file_at(int directory, const std::string& name, off_t length);

// Keeps blocks for `size` more bytes behind the end of the file, which is created where it is missing.
// os_error where there is no room for them; a file system that cannot do that is passed over.
Result<void> keep_room_at(int directory, const std::string& name, const std::string& shown, std::size_t size,
                          mode_t mode);

// flock(2), exclusively, for as long as the descriptor lives. Somebody may hold it for ever: Outcome::busy
// when the deadline has passed.
Result<void> lock_file(int fd, const std::string& shown, const Deadline& deadline);

} // namespace safe_deploy
