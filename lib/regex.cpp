#include "regex.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <regex.h>

#include <array>

namespace safe_deploy {

struct Regex::Compiled {
  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    if (ready) regfree(&expression);
  }
  regex_t expression{};
  bool ready = false;
};

namespace {

// A backslash and a digit, which is a back-reference also in glibc's extended expressions.
bool has_back_reference(std::string_view pattern) {
  for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '\\') continue;
    ++i;
    if (pattern[i] >= '1' && pattern[i] <= '9') return true;
  }
  return false;
}

} // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  const auto bad = [&](std::string_view why) {
    return fail(Outcome::usage, fmt::format("'{}'", printable(pattern, 80)),
                fmt::format("is not a regular expression ({})", why));
  };
  if (pattern.find('\0') != std::string_view::npos) return bad("it holds a NUL");
  if (has_back_reference(pattern)) return bad("back-references are not allowed");
  Regex regex;
  regex.pattern_ = pattern;
  auto compiled = std::make_shared<Compiled>();
  const int result = regcomp(&compiled->expression, regex.pattern_.c_str(), REG_EXTENDED | REG_NOSUB);
  if (result != 0) {
    std::array<char, 120> why{};
    (void)regerror(result, &compiled->expression, why.data(), why.size());
    return bad(why.data());
  }
  compiled->ready = true;
  regex.compiled_ = std::move(compiled);
  return regex;
}

bool Regex::found_in(std::string_view text) const {
  regmatch_t range{};
  range.rm_so = 0;
  range.rm_eo = static_cast<regoff_t>(text.size());
  // REG_STARTEND, of glibc: the text needs no terminating NUL and may hold some.
  return regexec(&compiled_->expression, text.data(), 1, &range, REG_STARTEND) == 0;
}

} // namespace safe_deploy
