#include "ini.hpp"

#include "file.hpp"
#include "name.hpp"
#include "text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <ini.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

namespace safe_deploy {

namespace {

constexpr std::size_t largest_file = 1U << 20U;
// INI_MAX_LINE (200) of inih holds the terminating NUL; the newline may come with the next read.
constexpr std::size_t longest_line = 199;
// MAX_SECTION and MAX_NAME (50) of inih hold the terminating NUL.
constexpr std::size_t longest_name = 49;
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

enum class LineKind { nothing, section, entry, continuation };

struct Line {
  LineKind kind = LineKind::nothing;
  unsigned number = 0;
  std::string text;        // what inih is given
  std::size_t section = 0; // the index of the section that it belongs to
};

// Where a comment begins within a line, by inih's rule for entries: at a ';' after white space. inih 55 does
// not apply it to continuation lines and inih 58 does; we do, whichever it is.
std::size_t find_comment(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i)
    if (text[i] == ';' && is_white_space(text[i - 1])) return i;
  return std::string_view::npos;
}

// Follows quotes and brackets through the lines of one value.
class Nesting {
 public:
  void read(std::string_view text) {
    for (const char c : text) {
      step(c);
      previous_ = c;
    }
    previous_ = ' ';
    escaped_ = false;
  }
  [[nodiscard]] bool open() const { return quote_ != 0 || depth_ > 0; }

 private:
  void step(char c) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\' && quote_ != '\'') {
      escaped_ = true;
    } else if (quote_ != 0) {
      if (c == quote_) quote_ = 0;
    } else if (c == '"' || (c == '\'' && !is_word(previous_))) { // no quote: the apostrophe in "it's"
      quote_ = c;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth_;
    } else if ((c == ')' || c == ']' || c == '}') && depth_ > 0) {
      --depth_;
    }
  }
  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           static_cast<unsigned char>(c) >= 0x80;
  }

  unsigned depth_ = 0;
  char quote_ = 0;
  char previous_ = ' ';
  bool escaped_ = false;
};

constexpr std::string_view cut_off =
    "a ';' after white space begins a comment, which would cut the value off within quotes or brackets: "
    "write "
    "the ';' without white space before it, or the comment on a line of its own";

// Looks at a file's lines one after the other, and sorts them.
class Scanner {
 public:
  explicit Scanner(const IniFile& file) : file_(file) {}

  Result<void> scan() {
    std::string_view rest = file_.text;
    if (rest.substr(0, byte_order_mark.size()) == byte_order_mark) rest.remove_prefix(byte_order_mark.size());
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      ++number_;
      auto seen = scan_line(line);
      if (!seen) return seen;
    }
    return {};
  }

  std::vector<Line> lines;
  std::vector<IniSection> sections;

 private:
  [[nodiscard]] tl::unexpected<Error> bad(const std::string& problem) const {
    return fail_at({file_.path, number_}, problem);
  }

  [[nodiscard]] Result<void> judge_bytes(std::string_view line) const {
    if (line.size() > longest_line)
      return bad(
          fmt::format("the line has {} bytes, and at most {} are read: let the value continue on "
                      "indented lines",
                      line.size(), longest_line));
    if (line.find('\0') != std::string_view::npos) return bad("the line holds a NUL byte");
    for (const char c : line)
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
        return bad(fmt::format("the line holds the control character \\x{:02x}", c));
    if (!is_utf8(line)) return bad("the line is not UTF-8");
    return {};
  }

  Result<void> scan_line(std::string_view line) {
    auto judged = judge_bytes(line);
    if (!judged) return judged;
    const std::string_view text = trim(line);
    if (text.empty() || text.front() == ';' || text.front() == '#') return scan_nothing(text);
    if (in_entry_ && is_white_space(line.front())) return scan_continuation(text);
    if (text.front() == '[') return scan_section(text);
    return scan_entry(text);
  }

  Result<void> scan_nothing(std::string_view text) {
    if (in_entry_ && nesting_.open() && !text.empty() && text.front() == ';')
      return bad(std::string(cut_off));
    add(LineKind::nothing, "");
    return {};
  }

  Result<void> scan_section(std::string_view text) {
    const std::size_t end = text.find(']');
    const std::string_view name = text.substr(1, end == std::string_view::npos ? end : end - 1);
    if (end == std::string_view::npos || find_comment(text) < end)
      return bad("a section is written [NAME], and here the ']' is missing");
    const std::string_view after = trim(text.substr(end + 1));
    if (!after.empty() && after.front() != ';') return bad("only a comment may follow the ']' of a section");
    if (name.empty()) return bad("the section has no name");
    if (name.size() > longest_name)
      return bad(
          fmt::format("the section's name has {} bytes, and at most {} are read", name.size(), longest_name));
    const auto [before, first] = section_lines_.emplace(name, number_);
    if (!first) return bad(fmt::format("the section [{}] stands in line {} already", name, before->second));
    sections.push_back({std::string(name), {file_.path, number_}, {}});
    in_entry_ = false;
    add(LineKind::section, text.substr(0, end + 1));
    return {};
  }

  Result<void> scan_entry(std::string_view text) {
    const std::size_t end = text.find_first_of("=:");
    if (end == std::string_view::npos || text[end] == ':' || find_comment(text) < end)
      return bad("is neither KEY = VALUE nor a [section]");
    const std::string_view key = trim(text.substr(0, end));
    if (key.empty()) return bad("there is no key before the '='");
    if (key.size() > longest_name)
      return bad(fmt::format("the key has {} bytes, and at most {} are read", key.size(), longest_name));
    if (sections.empty()) return bad(fmt::format("'{}' stands before the first [section]", key));
    in_entry_ = true;
    nesting_ = {};
    return scan_value(LineKind::entry, text, end + 1);
  }

  Result<void> scan_continuation(std::string_view text) {
    // With the indentation, so that inih takes it for what it is.
    return scan_value(LineKind::continuation, " " + std::string(text), 1);
  }

  Result<void> scan_value(LineKind kind, std::string_view text, std::size_t begin) {
    const std::size_t comment = find_comment(text);
    const std::string_view kept = text.substr(0, comment);
    nesting_.read(kept.substr(begin));
    if (comment != std::string_view::npos && nesting_.open()) return bad(std::string(cut_off));
    add(kind, kept);
    return {};
  }

  void add(LineKind kind, std::string_view text) {
    lines.push_back({kind, number_, std::string(text), sections.empty() ? 0 : sections.size() - 1});
  }

  const IniFile& file_;
  std::map<std::string, unsigned, std::less<>> section_lines_;
  unsigned number_ = 0;
  bool in_entry_ = false;
  Nesting nesting_;
};

// Gives inih one line after the other, and takes back what it makes of each.
class Feeder {
 public:
  explicit Feeder(Scanner& scanner) : scanner_(scanner) {}

  // Whether inih understood each line as we did. What it calls an error is known better by what it gave back.
  [[nodiscard]] bool run() {
    return ini_parse_stream(&Feeder::give, this, &Feeder::take, this) >= 0 && agreed_ && all_taken();
  }

 private:
  static char* give(char* into, int size, void* self) noexcept {
    auto& feeder = *static_cast<Feeder*>(self);
    const auto room = static_cast<std::size_t>(size);
    // As fgets(3) does: the newline of a line that fills the buffer comes alone. For inih 55 that is an empty
    // line, while inih 58 reads on to it before it looks at the line, and calls that an error.
    if (feeder.newline_due_) {
      feeder.newline_due_ = false;
      return copy("\n", into, room);
    }
    const auto& lines = feeder.scanner_.lines;
    if (!feeder.taken_last() || feeder.next_ == lines.size()) return nullptr;
    std::string text = lines[feeder.next_++].text;
    feeder.taken_ = false;
    feeder.newline_due_ = text.size() + 1 == room;
    if (!feeder.newline_due_) text += '\n';
    char* given = copy(text, into, room);
    if (given == nullptr) feeder.agreed_ = false;
    return given;
  }

  static char* copy(const std::string& text, char* into, std::size_t room) {
    if (text.size() >= room) return nullptr;
    std::memcpy(into, text.c_str(), text.size() + 1);
    return into;
  }

  static int take(void* self, const char* section, const char* key, const char* value) noexcept {
    auto& feeder = *static_cast<Feeder*>(self);
    feeder.agreed_ = feeder.agreed_ && feeder.take_value(section, key, value);
    feeder.taken_ = true;
    return 1;
  }

  [[nodiscard]] bool take_value(std::string_view section, const char* key, const char* value) {
    const Line& line = scanner_.lines[next_ - 1];
    if (taken_ || scanner_.sections.empty()) return false;
    IniSection& into = scanner_.sections[line.section];
    if (into.name != section) return false;
    if (line.kind == LineKind::entry) {
      into.entries.push_back({key, {{value, line.number}}, {into.place.file, line.number}});
      return true;
    }
    if (line.kind != LineKind::continuation || into.entries.empty() || into.entries.back().key != key)
      return false;
    into.entries.back().pieces.push_back({value, line.number});
    return true;
  }

  // Each line that holds (part of) a value must have come back before the next one is given.
  [[nodiscard]] bool taken_last() {
    if (next_ == 0 || taken_) return true;
    const LineKind kind = scanner_.lines[next_ - 1].kind;
    if (kind == LineKind::entry || kind == LineKind::continuation) agreed_ = false;
    return agreed_;
  }
  [[nodiscard]] bool all_taken() { return taken_last() && next_ == scanner_.lines.size(); }

  Scanner& scanner_;
  std::size_t next_ = 0;
  bool taken_ = false;
  bool newline_due_ = false;
  bool agreed_ = true;
};

} // namespace

std::string Place::text() const {
  return line == 0 ? file : fmt::format("{}:{}", file, line);
}

tl::unexpected<Error> fail_at(const Place& place, std::string_view problem) {
  constexpr std::size_t longest = 1000;
  return fail(Outcome::bad_config, place.text(), printable(problem, longest));
}

std::string IniEntry::value() const {
  std::string joined;
  bool glued = true;
  for (const auto& piece : pieces) {
    if (piece.text.empty()) continue;
    if (!glued) joined += ' ';
    joined += piece.text;
    glued = joined.back() == '\\' && &piece != &pieces.back();
    if (glued) joined.pop_back();
  }
  return joined;
}

Result<IniFile> read_ini_file(const std::string& path) {
  auto text = read_file_at(AT_FDCWD, path, path, largest_file);
  if (text) return IniFile{path, std::move(*text)};
  const Error& error = text.error();
  if (error.outcome() == Outcome::no) // not a regular file, or too large
    return fail(Outcome::bad_config, path, error.problem + " (a configuration is a file of at most 1 MiB)");
  // open(2): a socket, or a device that is not there.
  if (error.code == std::errc::no_such_device_or_address || error.code == std::errc::no_such_device)
    return fail(Outcome::bad_config, path, "is not a regular file");
  return forward_error(text);
}

Result<std::vector<IniSection>> parse_ini(const IniFile& file) {
  Scanner scanner(file);
  auto scanned = scanner.scan();
  if (!scanned) return forward_error(scanned);
  Feeder feeder(scanner);
  if (!feeder.run())
    return fail(Outcome::bad_config, file.path, "is understood otherwise by this version of libinih");
  return std::move(scanner.sections);
}

} // namespace safe_deploy
