#pragma once

#include "error.hpp"

#include <systemd/sd-journal.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace safe_deploy {

// One alternative of a filter: all of its fields must match ("_SYSTEMD_UNIT=x.service").
using JournalMatch = std::vector<std::string>;

class JournalEntry {
 public:
  explicit JournalEntry(sd_journal* journal) : journal_(journal) {}
  // The value of a field; empty if it has none. Whatever wrote it: not trusted, may hold any byte.
  [[nodiscard]] std::string field(const char* name) const;

 private:
  sd_journal* journal_;
};

// A thin seam over sd-journal: what is logged from now on and matches.
class JournalFollower {
 public:
  // Errors: os_error, also where there is no right to read the journal.
  static Result<JournalFollower> open(const std::vector<JournalMatch>& any_of);

  // Readable when something may have been added; then read().
  [[nodiscard]] int fd() const;
  void read(const std::function<void(const JournalEntry&)>& each);

 private:
  struct Deleter {
    void operator()(sd_journal* journal) const { sd_journal_close(journal); }
  };
  JournalFollower() = default;
  std::unique_ptr<sd_journal, Deleter> journal_;
};

} // namespace safe_deploy
