#pragma once

#include "error.hpp"
#include "fd.hpp"

#include <functional>
#include <string>

// Directories, and what is below them. What an app's user may write to is hostile: a directory is opened
// once, and then everything is done through its descriptor.
namespace safe_deploy {

// Opens a directory for reading. For root a symlink on the way is followed only where nobody else can have
// put it: in a directory that only root may write to, or as root's own in one with the sticky bit. Else it is
// Outcome::no: it could lead anywhere. (This is what openat2(2) calls RESOLVE_NO_SYMLINKS, with an exception
// for the administrator; not done by openat2 itself, since systemd's RestrictSUIDSGID= lets that fail with
// ENOSYS.)
Result<Fd> open_directory(const std::string& path);

// The directory `name` in `directory` itself, never what a symlink of that name leads to. An invalid Fd with
// errno.
Fd open_subdirectory(int directory, const std::string& name);

// Calls `each` with the name and the type (DT_DIR, DT_UNKNOWN ... of readdir(3)) of each entry but "." and
// "..". What is added or removed meanwhile may be told or not.
Result<void> list_directory(int directory, const std::string& shown,
                            const std::function<void(const char* name, unsigned char type)>& each);

// Deletes what has this name: a file or symlink as such, a directory with all that is in it. Follows no
// symlink, crosses no mount point, and needs as many descriptors and as much memory for a deep tree as for a
// flat one. What cannot be deleted stays, with what it is in; the error is the first one.
Result<void> remove_tree_at(int directory, const std::string& name, const std::string& shown);

// Whether `path`, relative to `directory`, exists and is below it, wherever symlinks lead on the way. Errors:
// what keeps that from being known, which is no answer.
Result<bool> exists_beneath(int directory, const std::string& path, const std::string& shown);

// Where an open file is, without symlinks; empty, with errno, where /proc does not tell.
std::string path_of(int fd);

// Whether the errno says that there is no such file, or none that one can get to: a loop of symlinks, a file
// in the place of a directory. Every other one says nothing about it.
bool says_missing(int error_number);

// Makes a directory where it is missing, with its entry in the one above on disk: what is written into it is
// to be found after a power loss.
Result<void> make_durable_directory(const std::string& path, mode_t mode = 0755);

Result<void> sync_directory(int directory, const std::string& shown);

} // namespace safe_deploy
