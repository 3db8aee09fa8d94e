#pragma once

#include "deadline.hpp"
#include "error.hpp"

#include <sys/types.h>
#include <systemd/sd-journal.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace safe_deploy {

// One alternative of a filter: all of its fields must match ("_SYSTEMD_UNIT=x.service"); of several values
// for the same field, one.
using JournalMatch = std::vector<std::string>;

struct JournalDeleter {
  void operator()(sd_journal* journal) const { sd_journal_close(journal); }
};
using JournalHandle = std::unique_ptr<sd_journal, JournalDeleter>;

class JournalEntry {
 public:
  explicit JournalEntry(sd_journal* journal) : journal_(journal) {}
  // The value of a field, cut to `limit` bytes; empty if it has none. Whatever wrote it: not trusted, may
  // hold any byte.
  [[nodiscard]] std::string field(const char* name, std::size_t limit = 65536) const;

  // Whether one of our tools wrote it that ran in the unit itself (guard.conf), and not the app.
  [[nodiscard]] bool is_ours() const;

 private:
  sd_journal* journal_;
};

// What is_ours() goes by: the fields SYSLOG_IDENTIFIER, _TRANSPORT and MESSAGE.
bool is_tools_message(std::string_view identifier, std::string_view transport, std::string_view message);

// A thin seam over sd-journal: what is logged from now on and matches.
class JournalFollower {
 public:
  // Errors: os_error, also where there is no right to read the journal.
  static Result<JournalFollower> open(const std::vector<JournalMatch>& any_of);

  // Readable when something may have been added; then read().
  [[nodiscard]] int fd() const;
  void read(const std::function<void(const JournalEntry&)>& each);

 private:
  JournalFollower() = default;
  JournalHandle journal_;
};

// What is in the journal and matches, oldest first, and what is added later.
class JournalReader {
 public:
  // Errors: os_error; EACCES where no file of the journal may be read, ENOENT where there is none.
  static Result<JournalReader> open(const std::vector<JournalMatch>& any_of);

  // To the first entry of that time (the wall clock, microseconds since 1970) or later; 0: to the first one.
  Result<void> seek(std::uint64_t realtime);

  // Goes on to the next entry; false where there is none yet.
  Result<bool> next();
  [[nodiscard]] JournalEntry entry() const { return JournalEntry(journal_.get()); }

  [[nodiscard]] sd_journal* handle() const { return journal_.get(); }

  // Takes note of files that came or went since it was opened, or last called.
  void refresh();

 private:
  JournalReader() = default;
  JournalHandle journal_;
};

// Whose messages: those of an invocation of a unit (UnitState::invocation_id), of one process of this boot,
// or of one process in an invocation.
struct LogSource {
  std::string invocation = {};
  pid_t pid = 0;
};

// The last messages of one that has just ended, oldest first, at most `count`, made printable and cut; not
// those of our own tools. The journal is some milliseconds behind: it is waited until it holds systemd's word
// that the main process of the invocation exited, and until `patience` at the longest (10 ms are enough
// mostly; systemd does not tell of an exit with 0). Errors: os_error, as for JournalReader::open.
Result<std::vector<std::string>> last_messages(const LogSource& source, std::size_t count,
                                               const Deadline& patience);

// The last messages of a unit from one time to another (the wall clock, microseconds since 1970), oldest
// first, at most `count`, made printable and cut; not those of our own tools, and not those of an invocation
// that had begun before. Errors: os_error, as for JournalReader::open.
Result<std::vector<std::string>> messages_between(const std::string& unit, std::uint64_t from,
                                                  std::uint64_t to, std::size_t count);

} // namespace safe_deploy
