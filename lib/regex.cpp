#include "regex.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>
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

// At most how many choices (| ? * + and bounds) are among them: regcomp(3) works out which states can be
// reached from each of them without reading anything, and its time grows with the third power of their
// number: 0.3 s for 400 in each other.
constexpr double most_choices = 400;

// The depth of groups: regcomp(3) recurses.
constexpr std::size_t most_depth = 200;

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

struct Bound {
  double least = 0;
  double most = 0; // copies that are made
};

// A bound, "{2,5}"; `i` is moved behind it.
Bound read_bound(std::string_view pattern, std::size_t& i) {
  Bound bound;
  double* number = &bound.least;
  bool open = false; // "{2,}"
  for (++i; i < pattern.size() && pattern[i] != '}'; ++i) {
    const char c = pattern[i];
    if (c == ',') {
      number = &bound.most;
      open = true;
    } else if (c >= '0' && c <= '9') {
      *number = std::min(*number * 10 + (c - '0'), 1e6);
      open = false;
    }
  }
  if (i < pattern.size()) ++i;
  if (open) bound.most = bound.least + 1;
  bound.most = std::max({bound.most, bound.least, 1.0});
  return bound;
}

// What an expression grows to. What is wrong with it is left to regcomp(3).
class Growth {
 public:
  explicit Growth(std::string_view pattern) {
    std::size_t i = 0;
    while (i < pattern.size()) i = step(pattern, i);
    while (open_.size() > 1) close();
  }

  [[nodiscard]] double states() const { return open_.front().states; }
  [[nodiscard]] double choices() const { return open_.front().choices; }
  [[nodiscard]] std::size_t depth() const { return depth_; }
  // It means the same in parentheses behind other text. A parenthesis that closes nothing stands for itself
  // and would close those; and glibc's "^" takes a newline for a beginning where it has read it before.
  [[nodiscard]] bool may_stand_behind() const { return may_stand_behind_; }

 private:
  struct Size {
    double states = 0;
    double choices = 0;
  };

  std::size_t step(std::string_view pattern, std::size_t i) {
    switch (pattern[i]) {
      case '[':
        add({1, 0});
        return end_of_bracket(pattern, i);
      case '{': {
        const Bound bound = read_bound(pattern, i);
        repeat(bound.most, bound.most - bound.least);
        return i;
      }
      case '(':
        open_.push_back({1, 0});
        depth_ = std::max(depth_, open_.size() - 1);
        return i + 1;
      case ')':
        if (open_.size() > 1) {
          close();
        } else {
          may_stand_behind_ = false;
          add({1, 0});
        }
        return i + 1;
      case '+': // made into xx*
        repeat(2, 1);
        return i + 1;
      case '*':
      case '?':
        repeat(1, 1);
        return i + 1;
      case '|':
        open_.back().choices += 1;
        return i + 1;
      case '\\':
        add({1, 0});
        return i + 2;
      case '^':
        may_stand_behind_ = false;
        add({1, 0});
        return i + 1;
      default:
        add({1, 0});
        return i + 1;
    }
  }

  void add(Size size) {
    last_ = size;
    open_.back().states += size.states;
    open_.back().choices += size.choices;
  }

  void repeat(double times, double choices) {
    const Size before = last_;
    last_ = {std::min(before.states * times + choices, 1e9), std::min(before.choices * times + choices, 1e9)};
    open_.back().states += last_.states - before.states;
    open_.back().choices += last_.choices - before.choices;
  }

  void close() {
    const Size group = open_.back();
    open_.pop_back();
    add(group);
  }

  std::vector<Size> open_{{}}; // each group that is open, and the whole
  Size last_ = {};             // what a bound would repeat
  std::size_t depth_ = 0;
  bool may_stand_behind_ = true;
};

// regexec(3) would begin anew at each byte, which takes hours for `ok.*healthy` in a hostile MiB. With any
// bytes allowed in front it begins once.
std::string from_the_start(const std::string& pattern) {
  return fmt::format("^([^a]|a)*({})", pattern);
}

// States times bytes: 0.1 s and 5 MiB at the worst.
constexpr double most_at_once = 100'000;
// Bytes, where each is tried as the beginning.
constexpr std::size_t most_beginnings = 2048;

// regexec(3) keeps each set of states that it comes to, in memory, for the next text: 10 MiB at the worst.
constexpr double most_learnt = 2 * most_at_once;

constexpr std::uint64_t apart_memory = 32UL * 1024 * 1024;
// regexec(3) may say that nothing matches where there was no memory to look. What it has learnt stays in
// memory, so that this much is not to be had then.
constexpr std::size_t spare_memory = 4UL * 1024 * 1024;

bool has_spare_memory() {
  return std::unique_ptr<char[]>(new (std::nothrow) char[spare_memory]) != nullptr;
}

} // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  const auto bad = [&](std::string_view why) {
    return fail(Outcome::usage, fmt::format("'{}'", printable(pattern, 80)),
                fmt::format("is not a regular expression ({})", why));
  };
  if (pattern.find('\0') != std::string_view::npos) return bad("it holds a NUL");
  if (has_back_reference(pattern)) return bad("back-references are not allowed");
  const Growth growth(pattern);
  if (growth.depth() > most_depth) return bad("its groups are nested too deeply");
  if (growth.states() > most_states) return bad("its repetitions multiply to too many");
  if (growth.choices() > most_choices)
    return bad(fmt::format("it leaves more than {} choices, its repetitions multiplied out",
                           static_cast<int>(most_choices)));
  Regex regex;
  regex.pattern_ = pattern;
  regex.states_ = growth.states();
  regex.begins_once_ = growth.may_stand_behind();
  auto compiled = std::make_shared<Compiled>();
  // As it is, first: what is wrong with it is to be told of it, and not of what it is put into.
  for (const auto& text : {regex.pattern_, from_the_start(regex.pattern_)}) {
    if (compiled->ready && !growth.may_stand_behind()) break;
    if (std::exchange(compiled->ready, false)) regfree(&compiled->expression);
    const int result = regcomp(&compiled->expression, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (result != 0) {
      std::array<char, 120> why{};
      (void)regerror(result, &compiled->expression, why.data(), why.size());
      return bad(why.data());
    }
    compiled->ready = true;
  }
  regex.compiled_ = std::move(compiled);
  return regex;
}

int Regex::match(std::string_view text) const {
  regmatch_t range{};
  range.rm_so = 0;
  range.rm_eo = static_cast<regoff_t>(text.size());
  // REG_STARTEND, of glibc: the text needs no terminating NUL and may hold some.
  return regexec(&compiled_->expression, text.data(), 1, &range, REG_STARTEND);
}

bool Regex::found_in(std::string_view text) const {
  return match(text) == 0;
}

// Compiles it anew. False: there is no memory to do so.
bool Regex::forget() const {
  compiled_.reset();
  auto compiled = std::make_shared<Compiled>();
  const std::string text = begins_once_ ? from_the_start(pattern_) : pattern_;
  compiled->ready = regcomp(&compiled->expression, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0;
  if (compiled->ready) compiled_ = std::move(compiled);
  learnt_ = 0;
  return compiled_ != nullptr;
}

Result<bool> Regex::found_in(std::string_view text, const Deadline& deadline) const {
  const auto late = [&] {
    return fail(Outcome::timed_out, "",
                fmt::format("whether it matches '{}' could not be told within {}", printable(pattern_, 80),
                            format_duration(deadline.given())));
  };
  if (deadline.has_passed()) return late();
  const double work = static_cast<double>(text.size()) * states_;
  if (work <= most_at_once && (begins_once_ || text.size() <= most_beginnings)) {
    if ((compiled_ == nullptr || learnt_ + work > most_learnt) && !forget())
      return fail_errno("", "it cannot be told whether it matches", ENOMEM);
    learnt_ += work;
    return found_in(text);
  }
  if (compiled_ == nullptr && !forget())
    return fail_errno("", "it cannot be told whether it matches", ENOMEM);
  if (!apart_)
    apart_ = std::make_shared<Apart>(
        [self = *this] {
          return [self](std::string_view question) {
            const int result = self.match(question);
            return std::to_string(result == 0 || has_spare_memory() ? result : REG_ESPACE);
          };
        },
        apart_memory + spare_memory);
  const auto answer = apart_->ask(text, deadline);
  if (!answer && answer.error().outcome() == Outcome::timed_out) return late();
  if (!answer && answer.error().outcome() != Outcome::no) return tl::unexpected<Error>(answer.error());
  if (!answer || answer == std::to_string(REG_ESPACE)) {
    apart_.reset(); // what it has learnt fills its memory
    return fail(Outcome::no, "",
                fmt::format("it takes more than {} of memory to tell whether it matches '{}'",
                            format_size(apart_memory), printable(pattern_, 80)));
  }
  return answer == "0";
}

} // namespace safe_deploy
