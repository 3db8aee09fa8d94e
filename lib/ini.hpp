#pragma once

#include "error.hpp"

#include <string>
#include <string_view>
#include <vector>

// INI files, strictly: inih takes them apart, but each line is looked at before inih sees it, since inih cuts
// long lines and names in silence and does not say which line a value came from.
namespace safe_deploy {

// Where something was written. Line 0 means the file as a whole.
struct Place {
  std::string file;
  unsigned line = 0;
  [[nodiscard]] std::string text() const; // "FILE:LINE"
};

// Outcome::bad_config at that place. The problem may quote from the file: it is made printable and not too
// long.
[[nodiscard]] tl::unexpected<Error> fail_at(const Place& place, std::string_view problem);

// One line of a value, without indentation and comment.
struct IniPiece {
  std::string text;
  unsigned line = 0;
};

struct IniEntry {
  std::string key;
  std::vector<IniPiece> pieces; // the line with the key, then the lines that continue it
  Place place;

  // The pieces joined by one space each; by nothing where a piece ends with a backslash. Empty pieces do not
  // count, so that a value may begin on the line after its key.
  [[nodiscard]] std::string value() const;
};

struct IniSection {
  std::string name; // what stands between the brackets
  Place place;
  std::vector<IniEntry> entries;
};

struct IniFile {
  std::string path;
  std::string text;
};

// Reads a whole file of at most 1 MiB. Never hangs: what is not a regular file is refused (bad_config), and
// so is a larger one. os_error with the errno where the system refuses; ENOENT where there is no such file.
Result<IniFile> read_ini_file(const std::string& path);

// The sections of a file in their order. A line is a comment if it begins with ';' or '#'; a ';' after white
// space begins one, too. An indented line continues the value before it. bad_config with FILE:LINE for: a
// line of more than 199 bytes, a name of more than 49, a NUL or other control character, bytes that are not
// UTF-8, an entry without '=' or before the first section, a section that appears twice, text after a ']', a
// ';' that would cut a value off within quotes or brackets.
Result<std::vector<IniSection>> parse_ini(const IniFile& file);

} // namespace safe_deploy
