#include "metrics.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace safe_deploy {

namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

struct NamedFold {
  std::string_view name;
  MetricTerm::Fold fold;
};

constexpr std::array<NamedFold, 4> folds{{{"sum", MetricTerm::Fold::sum},
                                          {"max", MetricTerm::Fold::max},
                                          {"min", MetricTerm::Fold::min},
                                          {"count", MetricTerm::Fold::count}}};

// What Prometheus' expressions (RE2) and ours (POSIX) take for different things is refused, and not taken for
// something else in silence.
std::string_view not_portable(std::string_view pattern) {
  bool in_brackets = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (in_brackets) {
      if (pattern[i] == '\\') return "a backslash in brackets";
      in_brackets = pattern[i] != ']';
      continue;
    }
    if (pattern[i] == '\\') {
      if (is_letter(next) || is_digit(next)) return "a backslash before a letter or digit";
      ++i;
    } else if (pattern[i] == '(' && next == '?') {
      return "'(?'";
    } else if (pattern[i] == '[') {
      in_brackets = true;
      if (next == '^') ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') ++i; // the first one stands for itself
      if (pattern.substr(i + 1, 2) == "[:") return "a class of characters";
    }
  }
  return {};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<MetricExpression> parse() {
    expression_.text = text_;
    bool ok = term();
    if (ok && skip('/')) ok = term();
    if (ok && !at_end()) ok = wrong(expression_.terms.size() == 1 ? "a '/' or the end" : "the end");
    if (ok) return std::move(expression_);
    return tl::unexpected<Error>(std::move(*error_));
  }

 private:
  // What was expected where the text goes on, or at another place in it.
  bool wrong(std::string_view expected) { return wrong_at(at_, fmt::format("expected {}", expected)); }

  bool wrong_at(std::size_t place, std::string problem) {
    const std::string_view rest = text_.substr(std::min(place, text_.size()));
    error_ = Error{rest.empty() ? "at the end" : fmt::format("at '{}'", printable(rest, 40)),
                   std::move(problem), make_error_code(Outcome::usage)};
    return false;
  }

  void skip_space() {
    while (at_ < text_.size() && is_white_space(text_[at_])) ++at_;
  }

  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // Moves behind the character if it comes next.
  bool skip(char c) {
    skip_space();
    if (next() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  bool expect(char c) { return skip(c) || wrong(fmt::format("'{}'", c)); }

  std::string_view word(bool with_colons) {
    skip_space();
    const std::size_t begin = at_;
    const auto belongs = [&](char c) {
      return is_letter(c) || (with_colons && c == ':') || (at_ > begin && is_digit(c));
    };
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  bool term() {
    skip_space();
    const std::size_t begin = at_;
    MetricTerm term;
    const std::string_view name = word(true);
    if (name.empty()) return wrong("the name of a metric or of a function");
    bool ok = false;
    if (name == "histogram_quantile" && skip('('))
      ok = quantile(term);
    else if (const auto fold = named_fold(name); fold && skip('('))
      ok = folded(term, *fold);
    else
      ok = vector(term, name, begin);
    if (!ok) return false;
    term.text = trim(text_.substr(begin, at_ - begin));
    expression_.terms.push_back(std::move(term));
    return true;
  }

  static std::optional<MetricTerm::Fold> named_fold(std::string_view name) {
    for (const auto& one : folds)
      if (one.name == name) return one.fold;
    return std::nullopt;
  }

  bool folded(MetricTerm& term, MetricTerm::Fold fold) {
    term.fold = fold;
    return vector(term) && expect(')');
  }

  // histogram_quantile(0.95, ...), behind its parenthesis.
  bool quantile(MetricTerm& term) {
    skip_space();
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != ')' && text_[at_] != ' ') ++at_;
    const auto number = parse_number(text_.substr(begin, at_ - begin));
    if (!number || *number <= 0 || *number > 1)
      return wrong_at(begin, "expected a quantile of more than 0 and at most 1");
    term.quantile = *number;
    if (!expect(',')) return false;
    skip_space();
    const std::size_t place = at_;
    const std::string_view name = word(true);
    if (!(name == "sum" ? summed_by_bound(term, place) : vector(term, name, place))) return false;
    if (!term.selector.name.ends_with("_bucket"))
      return wrong_at(place, "expected the buckets of a histogram (their name ends in _bucket)");
    return expect(')');
  }

  // sum by (le) (...) and sum(...) by (le): what is done anyway.
  bool summed_by_bound(MetricTerm& term, std::size_t place) {
    const bool before = by_bound();
    if (error_ || !expect('(') || !vector(term) || !expect(')')) return false;
    const bool after = !before && by_bound();
    if (error_) return false;
    return before || after || wrong_at(place, "expected sum by (le) (...): without it there are no buckets");
  }

  bool by_bound() {
    const std::size_t begin = at_;
    if (word(false) != "by") {
      at_ = begin;
      return false;
    }
    if (!expect('(')) return false;
    const std::size_t place = at_;
    if (word(false) != "le") return wrong_at(place, "expected le");
    return expect(')');
  }

  // A selector, or its rate.
  bool vector(MetricTerm& term) {
    skip_space();
    const std::size_t begin = at_;
    return vector(term, word(true), begin);
  }

  bool vector(MetricTerm& term, std::string_view name, std::size_t begin) {
    if (name.empty()) return wrong("the name of a metric");
    skip_space();
    if (next() != '(') return selector(term.selector, name);
    if (name != "rate")
      return wrong_at(begin,
                      "is no function that is known here: those are rate, sum, max, min, count and "
                      "histogram_quantile");
    ++at_;
    term.rate = true;
    skip_space();
    return selector(term.selector, word(true)) && window() && expect(')');
  }

  bool window() {
    if (!skip('[')) return wrong("the time of the rate, such as [10s]");
    const std::size_t begin = at_;
    const std::size_t end = text_.find(']', begin);
    if (end == std::string_view::npos) return wrong("a time and ']'");
    const auto parsed = parse_duration(trim(text_.substr(begin, end - begin)));
    if (!parsed || *parsed <= Duration::zero() || *parsed == without_limit)
      return wrong("a time, such as 10s");
    if (expression_.window != Duration::zero() && expression_.window != *parsed)
      return wrong("the same time as in the other rate");
    expression_.window = *parsed;
    at_ = end + 1;
    return true;
  }

  bool selector(MetricSelector& selector, std::string_view name) {
    if (name.empty()) return wrong("the name of a metric");
    selector.name = name;
    if (!skip('{')) return true;
    while (!skip('}')) {
      if (!matcher(selector)) return false;
      if (skip('}')) return true;
      if (!skip(',')) return wrong("',' or '}'");
    }
    return true;
  }

  bool matcher(MetricSelector& selector) {
    LabelMatcher matcher;
    matcher.label = word(false);
    if (matcher.label.empty()) return wrong("the name of a label");
    if (matcher.label == "__name__") {
      at_ -= matcher.label.size();
      return wrong("a label: the metric's name stands before the braces");
    }
    if (!comparison(matcher.kind)) return wrong("'=', '!=', '=~' or '!~'");
    skip_space();
    const std::size_t begin = at_;
    if (!string(matcher.value)) return false;
    if (matcher.kind == LabelMatcher::Kind::matching || matcher.kind == LabelMatcher::Kind::unmatching) {
      if (!pattern(matcher, begin)) return false;
    }
    selector.matchers.push_back(std::move(matcher));
    return true;
  }

  bool comparison(LabelMatcher::Kind& kind) {
    const bool negated = skip('!');
    if (next() == '~' && negated) {
      kind = LabelMatcher::Kind::unmatching;
    } else if (negated ? next() == '=' : skip('=')) {
      if (!negated && next() != '~') {
        kind = LabelMatcher::Kind::equal;
        return true;
      }
      kind = negated ? LabelMatcher::Kind::unequal : LabelMatcher::Kind::matching;
    } else {
      return false;
    }
    ++at_;
    return true;
  }

  bool pattern(LabelMatcher& matcher, std::size_t begin) {
    const std::string_view problem = not_portable(matcher.value);
    if (!problem.empty())
      return wrong_at(begin,
                      fmt::format("expected an expression without {}: it is a POSIX extended one", problem));
    // By itself, too: "a)|(b" is none, but would be within parentheses.
    auto compiled = Regex::compile(matcher.value).and_then([&](const Regex&) {
      return Regex::compile(fmt::format("^({})$", matcher.value));
    });
    if (!compiled)
      return wrong_at(begin, fmt::format("{} {}", compiled.error().subject, compiled.error().problem));
    matcher.pattern = std::move(*compiled);
    return true;
  }

  // As in Go: "...", '...' or `...`, the last without escapes.
  bool string(std::string& to) {
    const char quote = next();
    if (quote != '"' && quote != '\'' && quote != '`') return wrong("a text in quotes");
    const std::size_t begin = at_;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] != '\\' || quote == '`') {
        to += text_[at_];
        continue;
      }
      const std::size_t place = at_++;
      constexpr std::string_view escapes = "\\\"'ntr";
      constexpr std::string_view meanings = "\\\"'\n\t\r";
      const std::size_t known = at_ < text_.size() ? escapes.find(text_[at_]) : std::string_view::npos;
      if (known == std::string_view::npos)
        return wrong_at(place, "expected an escape, such as \\\\ for a backslash");
      to += meanings[known];
    }
    if (at_ == text_.size()) return wrong_at(begin, "expected the quote that ends the text");
    ++at_;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  MetricExpression expression_ = {};
  std::optional<Error> error_ = {};
};

} // namespace

Result<bool> LabelMatcher::accepts(std::string_view text, const Deadline& deadline) const {
  switch (kind) {
    case Kind::equal:
      return text == value;
    case Kind::unequal:
      return text != value;
    case Kind::matching:
      return pattern->found_in(text, deadline);
    case Kind::unmatching:
      return pattern->found_in(text, deadline).map([](bool found) { return !found; });
  }
  return false;
}

Result<MetricExpression> MetricExpression::parse(std::string_view text) {
  return Parser(text).parse();
}

Result<double> parse_number(std::string_view text) {
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  double value = 0;
  const char* end = digits.data() + digits.size();
  if (!digits.empty() && (is_digit(digits.front()) || digits.front() == '.')) { // no "inf", no second sign
    const auto parsed = std::from_chars(digits.data(), end, value);
    if (parsed.ec == std::errc{} && parsed.ptr == end) return negative ? -value : value;
  }
  return fail(Outcome::usage, fmt::format("'{}'", printable(text, 40)),
              "is not a number (such as 0.5, -3 or 1e-3)");
}

} // namespace safe_deploy
