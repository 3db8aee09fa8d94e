#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "regex.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// Metrics in the text format of Prometheus (and OpenMetrics), and what is asked of them: a small, exact part
// of Prometheus' query language. No input or output.
namespace safe_deploy {

struct LabelMatcher {
  enum class Kind { equal, unequal, matching, unmatching };
  std::string label;
  Kind kind = Kind::equal;
  std::string value;                 // the text
  std::optional<Regex> pattern = {}; // or the expression, which must match the whole value

  // `value` is empty for a label that a series has not: Prometheus makes no difference.
  // Errors: those of Regex::found_in(), of what others may have written.
  [[nodiscard]] Result<bool> accepts(std::string_view value, const Deadline& deadline) const;
};

struct MetricSelector {
  std::string name;
  std::vector<LabelMatcher> matchers = {};
};

// One value: of a selector's series, or of their rates, their sum or other fold, or the quantile of the
// histogram that they are the buckets of.
struct MetricTerm {
  enum class Fold { sum, max, min, count };
  std::string text; // as written
  MetricSelector selector = {};
  Fold fold = Fold::sum;
  bool rate = false;
  std::optional<double> quantile = {};
};

struct MetricExpression {
  // Outcome::usage with the place in the text: "at '...': expected ...".
  static Result<MetricExpression> parse(std::string_view text);

  std::string text;
  std::vector<MetricTerm> terms; // one, or the two of a ratio
  Duration window{};             // of its rates; zero where it has none
};

// A decimal number, with sign and exponent, neither NaN nor infinite. Outcome::usage.
Result<double> parse_number(std::string_view text);

// Why a page gives no value: a stable word and a sentence without subject ("has no ...").
struct MetricFault {
  std::string reason;
  std::string sentence;
  bool unknown = false; // there is nothing to judge: no objection
};

// What a page says of one term.
struct TermSamples {
  struct Sample {
    std::uint64_t series = 0; // its labels, as a hash
    double value = 0;
    double upper_bound = 0; // of a histogram's bucket
  };
  bool known = false; // the metric is on the page, be it without a series that matches
  std::vector<Sample> samples = {};
};

// One look at a page: for each term of the expression.
using MetricSamples = std::vector<TermSamples>;

// At most so many series of one term, and so long lines, are taken.
inline constexpr std::size_t most_series = 10'000;
inline constexpr std::size_t longest_metric_line = 64UL * 1024;

// Reads a page piece by piece, and keeps of it the series that the expression asks for. A line that cannot be
// read is passed over, unless it begins with the name of a metric that is asked for.
class MetricReader {
 public:
  // The expression must outlive it. The deadline is for the regular expressions in it.
  explicit MetricReader(const MetricExpression& expression, const Deadline& deadline = Deadline::never());

  // False: the page is at fault, and no more of it is wanted.
  bool take(std::string_view piece);

  // When all of it has been taken. Reasons: "malformed", "too-many"; of labels that a regular expression
  // could not be looked for in "timeout", "memory" and, unknown, "local".
  std::variant<MetricSamples, MetricFault> finish();

 private:
  struct Label {
    std::string name;
    std::string value;
  };

  void take_line(std::string_view line);
  void take_type(std::string_view line);
  void take_sample(std::string_view line, std::size_t term);
  bool read_sample(std::string_view line);
  bool read_labels(std::string_view& rest);
  bool read_label(std::string_view& rest);
  [[nodiscard]] std::string_view label(std::string_view name) const;
  bool matches(const MetricSelector& selector);
  std::uint64_t identify();
  void malformed(std::string_view what, std::string_view line = {});

  const MetricExpression& expression_;
  Deadline deadline_;
  MetricSamples found_;
  std::optional<MetricFault> fault_ = {};
  std::string begun_ = {}; // the beginning of a line whose end is still to come
  std::uint64_t line_ = 0;
  // The sample that is read now; kept, so that a million of them need no memory each.
  std::vector<Label> labels_ = {};
  std::size_t label_count_ = 0;
  double value_ = 0;
  std::string key_ = {};
};

// Whether all metrics of the expression are there. Reason: "missing".
std::optional<MetricFault> missing_metric(const MetricExpression& expression, const MetricSamples& samples);

struct MetricValue {
  double value = 0;
  std::vector<double> parts = {}; // of a ratio
};

// The value at the time of `now`; a rate is counted from `before`, `seconds` earlier. It may be NaN or
// infinite. Reasons: "missing", "buckets", and, unknown, "idle": 0 / 0, or a histogram of nothing.
std::variant<MetricValue, MetricFault> evaluate(const MetricExpression& expression, const MetricSamples& now,
                                                const MetricSamples* before, double seconds);

} // namespace safe_deploy
