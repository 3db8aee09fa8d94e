#include "regex.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

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

// At most how many states an expression has once its bounds are multiplied out, which is what regcomp(3)
// does: it takes seconds and gigabytes for `((a{255}){255}){255}`.
constexpr double most_states = 20'000;

// Behind a bracket expression that begins at `i`; npos if it does not end.
std::size_t end_of_bracket(std::string_view pattern, std::size_t i) {
  ++i;
  if (i < pattern.size() && pattern[i] == '^') ++i;
  if (i < pattern.size() && pattern[i] == ']') ++i; // the first one stands for itself
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] != '[' || i + 1 == pattern.size()) continue;
    const char kind = pattern[i + 1]; // [:alpha:], [.a.], [=a=]
    if (kind != ':' && kind != '.' && kind != '=') continue;
    i = pattern.find(std::string{kind, ']'}, i + 2);
    if (i == std::string_view::npos) return i;
    ++i;
  }
  return i < pattern.size() ? i + 1 : std::string_view::npos;
}

// How often a bound repeats what is before it: the larger number in "{2,5}"; `i` is moved behind it.
double repetitions(std::string_view pattern, std::size_t& i) {
  double most = 1;
  double number = 0;
  for (++i; i < pattern.size() && pattern[i] != '}'; ++i) {
    number = pattern[i] >= '0' && pattern[i] <= '9' ? std::min(number * 10 + (pattern[i] - '0'), 1e6) : 0;
    most = std::max(most, number);
  }
  if (i < pattern.size()) ++i;
  return most;
}

// What the expression grows to. What is wrong with it is left to regcomp(3).
double states(std::string_view pattern) {
  std::vector<double> sums{0}; // of each group that is open, and of the whole
  double last = 0;             // what a bound would repeat
  const auto add = [&](double size) {
    last = size;
    sums.back() += size;
  };
  std::size_t i = 0;
  while (i < pattern.size()) {
    const char c = pattern[i];
    if (c == '[') {
      i = end_of_bracket(pattern, i);
      add(1);
    } else if (c == '{') {
      const double more = last * (repetitions(pattern, i) - 1);
      sums.back() += more;
      last += more;
    } else {
      if (c == '(') {
        sums.push_back(1);
      } else if (c == ')' && sums.size() > 1) {
        const double group = sums.back();
        sums.pop_back();
        add(group);
      } else {
        add(1);
      }
      i += c == '\\' ? 2 : 1;
    }
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

} // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  const auto bad = [&](std::string_view why) {
    return fail(Outcome::usage, fmt::format("'{}'", printable(pattern, 80)),
                fmt::format("is not a regular expression ({})", why));
  };
  if (pattern.find('\0') != std::string_view::npos) return bad("it holds a NUL");
  if (has_back_reference(pattern)) return bad("back-references are not allowed");
  if (states(pattern) > most_states) return bad("its repetitions multiply to too many");
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
