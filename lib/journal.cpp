#include "journal.hpp"

#include <algorithm>

namespace safe_deploy {

std::string JournalEntry::field(const char* name) const {
  const void* data = nullptr;
  std::size_t size = 0;
  if (sd_journal_get_data(journal_, name, &data, &size) < 0) return "";
  const std::string_view whole(static_cast<const char*>(data), size);
  const std::size_t prefix = std::string_view(name).size() + 1; // "NAME="
  return std::string(whole.substr(std::min(prefix, whole.size())));
}

Result<JournalFollower> JournalFollower::open(const std::vector<JournalMatch>& any_of) {
  JournalFollower follower;
  sd_journal* journal = nullptr;
  if (const int result = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM); result < 0)
    return fail_errno("journal", "cannot open", -result);
  follower.journal_.reset(journal);
  int result = 0;
  for (const auto& match : any_of) {
    if (result >= 0) result = sd_journal_add_disjunction(journal);
    for (const auto& field : match)
      if (result >= 0) result = sd_journal_add_match(journal, field.c_str(), field.size());
  }
  if (result >= 0) result = sd_journal_get_fd(journal); // from here on it watches the files
  if (result >= 0) result = sd_journal_seek_tail(journal);
  // sd_journal_seek_tail(3): the position is behind the last entry only after one step back.
  if (result >= 0) result = sd_journal_previous(journal);
  // No entry matches yet, so all that come are new ones. libsystemd 257 would stay behind them for ever.
  if (result == 0) result = sd_journal_seek_head(journal);
  if (result < 0) return fail_errno("journal", "cannot follow", -result);
  return follower;
}

int JournalFollower::fd() const {
  return sd_journal_get_fd(journal_.get());
}

void JournalFollower::read(const std::function<void(const JournalEntry&)>& each) {
  (void)sd_journal_process(journal_.get());
  while (sd_journal_next(journal_.get()) > 0) each(JournalEntry(journal_.get()));
}

} // namespace safe_deploy
