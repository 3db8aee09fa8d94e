#define SD_JOURNAL_SUPPRESS_LOCATION // where in the source a message is made is nobody's concern

#include "report.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace safe_deploy {

namespace {

// systemd.exec(5), $JOURNAL_STREAM: "device:inode" of the stream; it is ours only if stderr is that very
// stream.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  return stream != nullptr && fstat(STDERR_FILENO, &status) == 0 &&
         stream == fmt::format("{}:{}", status.st_dev, status.st_ino);
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

// Unlike stdio, one write: lines of tools that run side by side do not mix.
void write_stderr(std::string_view text) {
  (void)!write(STDERR_FILENO, text.data(), text.size());
}

// The journal looks up the sender's unit when it reads a message. A tool that has ended by then is in none,
// and its message is not among those that `journalctl -u` shows. What root says in this field is, too.
std::string own_unit_field() {
  char* unit = nullptr;
  std::string field =
      sd_pid_get_unit(0, &unit) < 0 ? std::string() : fmt::format("OBJECT_SYSTEMD_UNIT={}", unit);
  std::free(unit);
  return field;
}

} // namespace

std::string fit(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  for (std::size_t used = 0; end < text.size();) {
    const auto first = static_cast<unsigned char>(text[end]);
    const std::size_t length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    // Where it is not known how wide a character is, it counts as a wide one.
    used += length > 2 ? 2 : 1;
    if (used > columns) break;
    end += length;
  }
  return std::string(text.substr(0, end));
}

Reporter::Reporter(std::string tool)
    : tool_(std::move(tool)), in_journal_(stderr_is_journal()), on_terminal_(isatty(STDERR_FILENO) == 1) {
  if (!in_journal_) return;
  if (auto field = own_unit_field(); !field.empty()) fields_.push_back(std::move(field));
}

Reporter::~Reporter() {
  wipe_live();
}

void Reporter::set_field(std::string_view name, std::string value) {
  const std::string prefix = fmt::format("{}=", name);
  std::erase_if(fields_, [&](const std::string& field) { return field.starts_with(prefix); });
  fields_.push_back(prefix + std::move(value));
}

void Reporter::say(Priority priority, std::string_view text, MessageId id, Fields fields) {
  if (quiet_ && priority > Priority::error) return;
  if (!in_journal_) {
    wipe_live();
    write_stderr(fmt::format("{}: {}\n", tool_, text));
    return;
  }
  std::vector<std::string> lines = fields_;
  lines.push_back(fmt::format("MESSAGE={}", text));
  lines.push_back(fmt::format("PRIORITY={}", static_cast<int>(priority)));
  lines.push_back(fmt::format("SYSLOG_IDENTIFIER={}", tool_));
  if (!id.empty()) lines.push_back(fmt::format("MESSAGE_ID={}", id));
  for (const auto& [name, value] : fields) lines.push_back(fmt::format("{}={}", name, value));
  std::vector<iovec> vectors;
  vectors.reserve(lines.size());
  for (auto& line : lines) vectors.push_back({line.data(), line.size()});
  // A sandbox may hide the journal's socket; stderr still leads there.
  if (sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size())) < 0)
    write_stderr(fmt::format("<{}>{}: {}\n", static_cast<int>(priority), tool_, text));
}

void Reporter::live(std::string_view text) {
  if (!on_terminal_ || quiet_) return;
  const std::size_t width = terminal_width();
  // One column is left free: some terminals begin the next line when the last one is written to.
  write_stderr(fmt::format("\r\x1b[K{}", fit(printable(text, width * 4), width - 1)));
  live_shown_ = true;
}

void Reporter::progress(std::string_view text) {
  if (quiet_) return;
  if (in_journal_) return say(Priority::info, text);
  wipe_live();
  const std::size_t width = terminal_width();
  write_stderr(
      fmt::format("{}\n", on_terminal_ ? fit(printable(text, width * 4), width - 1) : printable(text, 4096)));
}

void Reporter::wipe_live() {
  if (std::exchange(live_shown_, false)) write_stderr("\r\x1b[K");
}

} // namespace safe_deploy
