#include "environment_file.hpp"

#include "name.hpp"

#include <string>

namespace safe_deploy {

namespace {

constexpr bool is_newline(char c) {
  return c == '\n' || c == '\r';
}

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || is_newline(c);
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  // To the first character of a name; false at the end of the text.
  bool find_name() {
    while (!at_end()) {
      const char c = text_[at_];
      if (c == '#' || c == ';')
        skip_comment();
      else if (!is_space(c))
        return true;
      else
        ++at_;
    }
    return false;
  }

  // What stands before the '='; nothing, and the line is skipped, where there is none in it.
  std::string_view take_name() {
    const std::size_t begin = at_;
    while (!at_end() && text_[at_] != '=' && !is_newline(text_[at_])) ++at_;
    if (at_end() || text_[at_] != '=') return {};
    std::string_view name = text_.substr(begin, at_++ - begin);
    while (!name.empty() && is_space(name.back())) name.remove_suffix(1);
    return name;
  }

  // Quotes count only where nothing without quotes has begun: a"b" stands for itself.
  std::string take_value() {
    std::string value;
    std::size_t solid = 0; // what is behind it is white space that may be the end's
    bool bare = false;
    while (!at_end()) {
      const char c = text_[at_++];
      if (is_newline(c)) break;
      if (!bare && (c == '\'' || c == '"')) {
        c == '"' ? take_double_quoted(value) : take_single_quoted(value);
        solid = value.size();
      } else if (c == '\\') {
        bare = true;
        if (!at_end() && !is_newline(text_[at_])) value += text_[at_];
        if (!at_end()) ++at_;
        solid = value.size();
      } else if (bare || !is_space(c)) {
        bare = true;
        value += c;
        if (!is_space(c)) solid = value.size();
      }
    }
    value.resize(solid);
    return value;
  }

 private:
  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }

  // Before systemd 254 a backslash continues a comment on the next line, and later it does not. What is a
  // comment for one of them is not taken to be set.
  void skip_comment() {
    for (; !at_end() && !is_newline(text_[at_]); ++at_)
      if (text_[at_] == '\\') ++at_;
  }

  void take_single_quoted(std::string& value) {
    for (; !at_end() && text_[at_] != '\''; ++at_) value += text_[at_];
    ++at_;
  }

  void take_double_quoted(std::string& value) {
    constexpr std::string_view escaped = "\"\\`$";
    for (; !at_end() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        const char c = text_[++at_];
        if (c == '\n') continue;
        if (escaped.find(c) == std::string_view::npos) value += '\\';
      }
      value += text_[at_];
    }
    ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

} // namespace

Result<void> read_environment_file(std::string_view text,
                                   const std::function<void(std::string_view, std::string_view)>& each) {
  if (text.find('\0') != std::string_view::npos) return fail(Outcome::no, "", "holds a NUL byte");
  Reader reader(text);
  while (reader.find_name()) {
    const std::string_view name = reader.take_name();
    if (name.empty()) continue;
    const std::string value = reader.take_value();
    if (!is_utf8(name) || !is_utf8(value)) return fail(Outcome::no, "", "is not UTF-8 text");
    each(name, value);
  }
  return {};
}

} // namespace safe_deploy
