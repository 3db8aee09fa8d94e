#include "journal.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

namespace safe_deploy {

namespace {

// Of compressed fields this much is unpacked; nobody wants to know more of a message.
constexpr std::size_t field_limit = 65536;

// Returns what sd-journal does: negative errno.
int add_matches(sd_journal* journal, const std::vector<JournalMatch>& any_of) {
  int result = 0;
  for (const auto& match : any_of) {
    if (result >= 0) result = sd_journal_add_disjunction(journal);
    for (const auto& field : match)
      if (result >= 0) result = sd_journal_add_match(journal, field.c_str(), field.size());
  }
  return result;
}

Result<JournalHandle> open_journal() {
  sd_journal* journal = nullptr;
  if (const int result = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM); result < 0)
    return fail_errno("journal", "cannot open", -result);
  JournalHandle handle(journal);
  (void)sd_journal_set_data_threshold(journal, field_limit);
  return handle;
}

} // namespace

std::string JournalEntry::field(const char* name, std::size_t limit) const {
  const void* data = nullptr;
  std::size_t size = 0;
  if (sd_journal_get_data(journal_, name, &data, &size) < 0) return "";
  const std::string_view whole(static_cast<const char*>(data), size);
  const std::size_t prefix = std::string_view(name).size() + 1; // "NAME="
  return std::string(whole.substr(std::min(prefix, whole.size())).substr(0, limit));
}

bool JournalEntry::is_ours() const {
  const std::string identifier = field("SYSLOG_IDENTIFIER", 64);
  return is_tools_message(identifier, field("_TRANSPORT", 64), field("MESSAGE", 64));
}

// The identifier alone would not do: of a server that a tool has become (`port-wait ... -- COMMAND`), what it
// writes to stderr has the tool's. The tool itself writes to the journal, or where it can't
// "TOOL: ..." to stderr (tools/report.cpp).
bool is_tools_message(std::string_view identifier, std::string_view transport, std::string_view message) {
  constexpr std::array<std::string_view, 11> tools{
      "atomic-link",  "deploy-notify", "drain-wait",    "health-wait", "port-wait",    "preflight",
      "release-mark", "release-prune", "rollback-link", "safe-deploy", "state-capture"};
  if (std::find(tools.begin(), tools.end(), identifier) == tools.end()) return false;
  return transport == "journal" ||
         (message.starts_with(identifier) && message.substr(identifier.size()).starts_with(": "));
}

Result<JournalFollower> JournalFollower::open(const std::vector<JournalMatch>& any_of) {
  auto opened = open_journal();
  if (!opened) return forward_error(opened);
  sd_journal* journal = opened->get();
  JournalFollower follower;
  follower.journal_ = std::move(*opened);
  // Files that may not be read are passed over without an error.
  if (geteuid() != 0 && sd_journal_has_persistent_files(journal) <= 0 &&
      sd_journal_has_runtime_files(journal) <= 0)
    return fail_errno("journal", "cannot be read (it takes root, or the group systemd-journal)", EACCES);
  int result = add_matches(journal, any_of);
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

Result<JournalReader> JournalReader::open(const std::vector<JournalMatch>& any_of) {
  auto opened = open_journal();
  if (!opened) return forward_error(opened);
  JournalReader reader;
  reader.journal_ = std::move(*opened);
  sd_journal* journal = reader.journal_.get();
  // Files that may not be read are passed over without an error.
  if (sd_journal_has_persistent_files(journal) <= 0 && sd_journal_has_runtime_files(journal) <= 0)
    return geteuid() == 0
               ? fail_errno("journal", "there is none here", ENOENT)
               : fail_errno("journal", "cannot be read (it takes root, or the group systemd-journal)",
                            EACCES);
  int result = add_matches(journal, any_of);
  if (result >= 0) result = sd_journal_seek_head(journal);
  if (result < 0) return fail_errno("journal", "cannot read", -result);
  return reader;
}

Result<void> JournalReader::seek(std::uint64_t realtime) {
  const int result = realtime == 0 ? sd_journal_seek_head(journal_.get())
                                   : sd_journal_seek_realtime_usec(journal_.get(), realtime);
  if (result < 0) return fail_errno("journal", "cannot read", -result);
  return {};
}

Result<bool> JournalReader::next() {
  const int result = sd_journal_next(journal_.get());
  if (result < 0) return fail_errno("journal", "cannot read", -result);
  return result > 0;
}

void JournalReader::refresh() {
  if (sd_journal_get_fd(journal_.get()) >= 0) (void)sd_journal_process(journal_.get());
}

namespace {

// SD_MESSAGE_UNIT_PROCESS_EXIT of sd-messages.h: "Main process exited, ...".
constexpr const char* process_exit = "MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15";

JournalMatch match_of(const LogSource& source) {
  JournalMatch match;
  if (!source.invocation.empty()) match.push_back("_SYSTEMD_INVOCATION_ID=" + source.invocation);
  if (source.pid != 0) match.push_back(fmt::format("_PID={}", source.pid));
  sd_id128_t boot{};
  if (source.invocation.empty() && sd_id128_get_boot(&boot) >= 0) {
    std::array<char, SD_ID128_STRING_MAX> text{};
    match.push_back(fmt::format("_BOOT_ID={}", sd_id128_to_string(boot, text.data())));
  }
  return match;
}

struct Tail {
  std::vector<std::string> messages; // the newest first
  bool ended = false;                // systemd has told of the end
};

Tail read_tail(sd_journal* journal, std::size_t count) {
  constexpr int most = 1000; // entries that are looked at, our own among them
  Tail tail;
  if (sd_journal_seek_tail(journal) < 0) return tail;
  for (int i = 0; i < most && tail.messages.size() < count && sd_journal_previous(journal) > 0; ++i) {
    const JournalEntry entry(journal);
    if (!entry.field("INVOCATION_ID", 64).empty())
      tail.ended = true;
    else if (!entry.is_ours())
      tail.messages.push_back(printable(entry.field("MESSAGE", 1024)));
  }
  return tail;
}

} // namespace

Result<std::vector<std::string>> last_messages(const LogSource& source, std::size_t count,
                                               const Deadline& patience) {
  std::vector<JournalMatch> any_of{match_of(source)};
  if (!source.invocation.empty())
    any_of.push_back({"INVOCATION_ID=" + source.invocation, "_PID=1", process_exit});
  auto reader = JournalReader::open(any_of);
  if (!reader) return forward_error(reader);
  sd_journal* journal = reader->handle();
  const int fd =
      sd_journal_get_fd(journal); // from here on it watches the files; an error is passed over by poll
  Tail tail = read_tail(journal, count);
  while (!tail.ended && !patience.has_passed()) {
    // journald tells of what it has written up to 250 ms later (it gathers such notes), but it can be read at
    // once: so it is looked at each millisecond, too.
    pollfd added{fd, POLLIN, 0};
    if (poll(&added, 1, 1) > 0) (void)sd_journal_process(journal);
    tail = read_tail(journal, count);
  }
  std::reverse(tail.messages.begin(), tail.messages.end());
  return std::move(tail.messages);
}

namespace {

// Whether the invocation has logged anything before that time.
bool had_begun(const std::string& invocation, std::uint64_t before) {
  auto reader = JournalReader::open({{"_SYSTEMD_INVOCATION_ID=" + invocation}});
  return reader && sd_journal_seek_realtime_usec(reader->handle(), before) >= 0 &&
         sd_journal_previous(reader->handle()) > 0;
}

} // namespace

Result<std::vector<std::string>> messages_between(const std::string& unit, std::uint64_t from,
                                                  std::uint64_t to, std::size_t count) {
  constexpr int most = 1000; // entries that are looked at, our own among them
  auto reader = JournalReader::open({{"_SYSTEMD_UNIT=" + unit}});
  if (!reader) return forward_error(reader);
  sd_journal* journal = reader->handle();
  if (const int result = sd_journal_seek_realtime_usec(journal, to + 1); result < 0)
    return fail_errno("journal", "cannot read", -result);
  std::vector<std::string> messages;
  std::map<std::string, bool> earlier;
  for (int i = 0; i < most && messages.size() < count && sd_journal_previous(journal) > 0; ++i) {
    std::uint64_t at = 0;
    if (sd_journal_get_realtime_usec(journal, &at) < 0 || at < from) break;
    const JournalEntry entry(journal);
    if (entry.is_ours()) continue;
    const std::string invocation = entry.field("_SYSTEMD_INVOCATION_ID", 64);
    const auto known = earlier.find(invocation);
    const bool is_earlier = known != earlier.end()
                                ? known->second
                                : earlier.emplace(invocation, had_begun(invocation, from)).first->second;
    if (!is_earlier) messages.push_back(printable(entry.field("MESSAGE", 1024), 1024));
  }
  std::reverse(messages.begin(), messages.end());
  return messages;
}

} // namespace safe_deploy
