#include "metrics.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <utility>

namespace safe_deploy {

namespace {

using Sample = TermSamples::Sample;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// No service has so many; each is compared with the others.
constexpr std::size_t most_labels = 256;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// What stands before the next blank.
std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  skip_blanks(text);
  return word;
}

std::string_view take_name(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && is_name_character(text[end])) ++end;
  const std::string_view name = text.substr(0, end);
  text.remove_prefix(end);
  return name;
}

bool is_word(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// As Go's strconv.ParseFloat() reads it, which Prometheus does, but for hexadecimal numbers and underscores.
std::optional<double> read_value(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (is_word(text, "nan")) return not_a_number;
  if (is_word(text, "inf") || is_word(text, "infinity")) return negative ? -infinity : infinity;
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.find_first_not_of("0123456789.eE+-") != std::string_view::npos || text.starts_with('-') ||
      read.ptr != text.data() + text.size())
    return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) { // too small is 0, too large an error
    if (text.find("e-") == std::string_view::npos && text.find("E-") == std::string_view::npos)
      return std::nullopt;
    value = 0;
  } else if (read.ec != std::errc{}) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

// Behind a value there may be a time, and an exemplar: "# {...} 0.5".
bool is_rest_of_sample(std::string_view rest) {
  if (!rest.empty() && rest.front() != '#' && !read_value(take_word(rest))) return false;
  return rest.empty() || rest.front() == '#';
}

// OpenMetrics names the type of a counter without its suffix, and both formats that of a histogram.
bool type_covers(std::string_view typed, std::string_view name) {
  if (!name.starts_with(typed)) return false;
  const std::string_view suffix = name.substr(typed.size());
  return suffix.empty() || suffix == "_total" || suffix == "_bucket" || suffix == "_count" ||
         suffix == "_sum";
}

bool is_less(const Sample& a, const Sample& b) {
  return a.series < b.series;
}

// The increase of each series since `before`, in a second. A counter that is less than it was began anew, and
// so did one that was not there: both counted from 0.
std::vector<Sample> rates(const std::vector<Sample>& now, const std::vector<Sample>& before, double seconds) {
  std::vector<Sample> result = now;
  auto old = before.begin();
  for (Sample& sample : result) {
    old = std::lower_bound(old, before.end(), sample, is_less);
    const bool counted = old != before.end() && old->series == sample.series && !(sample.value < old->value);
    sample.value = (counted ? sample.value - old->value : sample.value) / seconds;
  }
  return result;
}

double fold(MetricTerm::Fold how, const std::vector<Sample>& samples) {
  if (how == MetricTerm::Fold::count) return static_cast<double>(samples.size());
  double value = samples.empty() || how == MetricTerm::Fold::sum ? 0 : not_a_number;
  for (const Sample& sample : samples) {
    if (how == MetricTerm::Fold::sum)
      value += sample.value;
    else if (std::isnan(value) || // as Prometheus: a NaN counts only where there is nothing else
             (how == MetricTerm::Fold::max ? sample.value > value : sample.value < value))
      value = sample.value;
  }
  return value;
}

// The buckets of all series: one for each bound, in order. A bucket holds what is in those below it; a page
// that is written while it is counted may not be quite so, which Prometheus evens out, too.
std::vector<Sample> merged_buckets(std::vector<Sample> buckets) {
  std::stable_sort(buckets.begin(), buckets.end(),
                   [](const Sample& a, const Sample& b) { return a.upper_bound < b.upper_bound; });
  std::vector<Sample> merged;
  for (const Sample& bucket : buckets) {
    if (!merged.empty() && merged.back().upper_bound == bucket.upper_bound)
      merged.back().value += bucket.value;
    else
      merged.push_back(bucket);
  }
  for (std::size_t i = 1; i < merged.size(); ++i)
    if (merged[i].value < merged[i - 1].value) merged[i].value = merged[i - 1].value;
  return merged;
}

// As histogram_quantile() of Prometheus: within a bucket all are taken to be spread evenly.
double quantile_of(double quantile, const std::vector<Sample>& buckets) {
  for (const Sample& bucket : buckets)
    if (std::isnan(bucket.value)) return not_a_number;
  const double rank = quantile * buckets.back().value;
  const auto found = std::find_if(buckets.begin(), buckets.end() - 1,
                                  [&](const Sample& bucket) { return bucket.value >= rank; });
  if (found == buckets.end() - 1) return (found - 1)->upper_bound; // above the highest bound, which is all
  if (found == buckets.begin() && found->upper_bound <= 0) return found->upper_bound;
  const Sample below = found == buckets.begin() ? Sample{} : *(found - 1);
  const double count = found->value - below.value;
  return below.upper_bound + (found->upper_bound - below.upper_bound) * ((rank - below.value) / count);
}

std::variant<double, MetricFault> histogram(const MetricExpression& expression, const MetricTerm& term,
                                            const std::vector<Sample>& samples) {
  const auto buckets = merged_buckets(samples);
  const std::string idle = term.rate ? " in " + format_duration(expression.window) : "";
  const MetricFault nothing{"idle", fmt::format("{}: nothing was observed{}", term.selector.name, idle),
                            true};
  if (buckets.empty()) return nothing;
  if (buckets.back().upper_bound != infinity)
    return MetricFault{"buckets", fmt::format("{} has no bucket le=\"+Inf\"", term.selector.name)};
  if (buckets.size() < 2)
    return MetricFault{"buckets", fmt::format("{} has no bucket but le=\"+Inf\"", term.selector.name)};
  if (buckets.back().value == 0) return nothing;
  return quantile_of(*term.quantile, buckets);
}

} // namespace

MetricReader::MetricReader(const MetricExpression& expression, const Deadline& deadline)
    : expression_(expression), deadline_(deadline), found_(expression.terms.size()) {}

void MetricReader::malformed(std::string_view what, std::string_view line) {
  fault_ = MetricFault{"malformed", fmt::format("line {} {}", line_, what)};
  if (!line.empty()) fault_->sentence += fmt::format(": '{}'", printable(line, 80));
}

bool MetricReader::take(std::string_view piece) {
  while (!fault_ && !piece.empty()) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (begun_.size() + part.size() > longest_metric_line) {
      ++line_;
      malformed(fmt::format("is longer than {}", format_size(longest_metric_line)));
      break;
    }
    if (end == std::string_view::npos || !begun_.empty()) begun_ += part;
    if (end == std::string_view::npos) break;
    take_line(begun_.empty() ? part : std::string_view(begun_));
    begun_.clear();
    piece.remove_prefix(end + 1);
  }
  return !fault_;
}

std::variant<MetricSamples, MetricFault> MetricReader::finish() {
  if (!fault_ && !begun_.empty()) take_line(begun_);
  begun_.clear();
  if (fault_) return *fault_;
  for (auto& [known, samples] : found_) {
    // Of a series that stands there twice the first counts, as for Prometheus.
    std::stable_sort(samples.begin(), samples.end(), is_less);
    const auto same = [](const Sample& a, const Sample& b) { return a.series == b.series; };
    samples.erase(std::unique(samples.begin(), samples.end(), same), samples.end());
  }
  return std::move(found_);
}

void MetricReader::take_line(std::string_view line) {
  ++line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  skip_blanks(line);
  if (line.empty()) return;
  if (line.front() == '#') {
    take_type(line.substr(1));
    return;
  }
  bool read = false; // once for all terms
  for (std::size_t i = 0; i < found_.size() && !fault_; ++i) {
    const std::string& name = expression_.terms[i].selector.name;
    if (!line.starts_with(name) || (line.size() > name.size() && is_name_character(line[name.size()])))
      continue;
    if (!read && !read_sample(line)) {
      malformed("cannot be read", line);
      return;
    }
    read = true;
    take_sample(line, i);
  }
}

void MetricReader::take_type(std::string_view line) {
  skip_blanks(line);
  if (take_word(line) != "TYPE") return;
  const std::string_view typed = take_word(line);
  for (std::size_t i = 0; i < found_.size(); ++i)
    if (!typed.empty() && type_covers(typed, expression_.terms[i].selector.name)) found_[i].known = true;
}

void MetricReader::take_sample(std::string_view line, std::size_t index) {
  const MetricTerm& term = expression_.terms[index];
  TermSamples& found = found_[index];
  found.known = true;
  if (!matches(term.selector)) return;
  Sample sample{identify(), value_};
  if (term.quantile) {
    const auto bound = read_value(label("le"));
    if (!bound || std::isnan(*bound)) {
      malformed("has no number as its label le", line);
      return;
    }
    sample.upper_bound = *bound;
  }
  if (found.samples.size() == most_series) {
    fault_ = MetricFault{"too-many",
                         fmt::format("more than {} series of {} match", most_series, term.selector.name)};
    return;
  }
  found.samples.push_back(sample);
}

bool MetricReader::read_sample(std::string_view line) {
  label_count_ = 0;
  if (line.find('\0') != std::string_view::npos || !is_utf8(line)) return false;
  (void)take_name(line);
  skip_blanks(line);
  if (line.starts_with('{') && !read_labels(line)) return false;
  skip_blanks(line);
  const auto value = read_value(take_word(line));
  if (!value || !is_rest_of_sample(line)) return false;
  value_ = *value;
  return true;
}

bool MetricReader::read_labels(std::string_view& rest) {
  do {
    rest.remove_prefix(1);
    skip_blanks(rest);
    if (!rest.starts_with('}') && !read_label(rest)) return false; // there may be a comma behind the last one
    skip_blanks(rest);
  } while (rest.starts_with(','));
  if (!rest.starts_with('}')) return false;
  rest.remove_prefix(1);
  return true;
}

bool MetricReader::read_label(std::string_view& rest) {
  const std::string_view name = take_name(rest);
  skip_blanks(rest);
  if (name.empty() || !rest.starts_with('=')) return false;
  rest.remove_prefix(1);
  skip_blanks(rest);
  if (!rest.starts_with('"') || label_count_ == most_labels) return false;
  for (std::size_t i = 0; i < label_count_; ++i)
    if (labels_[i].name == name) return false; // it would mean two things
  if (label_count_ == labels_.size()) labels_.emplace_back();
  Label& label = labels_[label_count_++];
  label.name = name;
  label.value.clear();
  rest.remove_prefix(1);
  for (;;) {
    const std::size_t end = rest.find_first_of("\"\\");
    if (end == std::string_view::npos || end + 1 == rest.size()) return false; // a value is still to come
    const bool ends = rest[end] == '"';
    label.value += rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (ends) return true;
    const char escaped = rest.front();
    if (escaped != '\\' && escaped != '"' && escaped != 'n') label.value += '\\'; // it stands for itself
    label.value += escaped == 'n' ? '\n' : escaped;
    rest.remove_prefix(1);
  }
}

std::string_view MetricReader::label(std::string_view name) const {
  for (std::size_t i = 0; i < label_count_; ++i)
    if (labels_[i].name == name) return labels_[i].value;
  return {};
}

// False also where it cannot be told, which is a fault.
bool MetricReader::matches(const MetricSelector& selector) {
  for (const LabelMatcher& matcher : selector.matchers) {
    const auto accepts = matcher.accepts(label(matcher.label), deadline_);
    if (!accepts) {
      const Outcome outcome = accepts.error().outcome();
      fault_ =
          MetricFault{outcome == Outcome::timed_out  ? "timeout"
                      : outcome == Outcome::os_error ? "local"
                                                     : "memory",
                      fmt::format("line {}: its label {}: {}", line_, matcher.label, accepts.error().text()),
                      outcome == Outcome::os_error};
      return false;
    }
    if (!*accepts) return false;
  }
  return true;
}

// The same for the same labels in another order. A label without a value is as none.
std::uint64_t MetricReader::identify() {
  const std::span labels(labels_.data(), label_count_);
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.name < b.name; });
  constexpr char separator = '\xff'; // is in no UTF-8
  key_.clear();
  for (const Label& label : labels) {
    if (label.value.empty()) continue;
    key_.append(label.name).push_back(separator);
    key_.append(label.value).push_back(separator);
  }
  return std::hash<std::string>{}(key_);
}

std::optional<MetricFault> missing_metric(const MetricExpression& expression, const MetricSamples& samples) {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const MetricTerm& term = expression.terms[i];
    if (!samples[i].known) return MetricFault{"missing", fmt::format("has no metric {}", term.selector.name)};
    // What has not been counted yet has not happened; but a value that is not there is not 0.
    if (samples[i].samples.empty() && !term.rate && term.fold != MetricTerm::Fold::count)
      return MetricFault{"missing", fmt::format("has no series of {} with such labels", term.selector.name)};
  }
  return std::nullopt;
}

std::variant<MetricValue, MetricFault> evaluate(const MetricExpression& expression, const MetricSamples& now,
                                                const MetricSamples* before, double seconds) {
  if (auto missing = missing_metric(expression, now)) return std::move(*missing);
  MetricValue value;
  for (std::size_t i = 0; i < expression.terms.size(); ++i) {
    const MetricTerm& term = expression.terms[i];
    const std::vector<Sample> samples =
        term.rate ? rates(now[i].samples, (*before)[i].samples, seconds) : now[i].samples;
    if (!term.quantile) {
      value.parts.push_back(fold(term.fold, samples));
      continue;
    }
    auto found = histogram(expression, term, samples);
    if (auto* fault = std::get_if<MetricFault>(&found)) return std::move(*fault);
    value.parts.push_back(std::get<double>(found));
  }
  if (value.parts.size() == 1) {
    value.value = value.parts.front();
    value.parts.clear();
    return value;
  }
  if (value.parts[0] == 0 && value.parts[1] == 0) {
    const std::string when =
        expression.window > Duration::zero() ? " in " + format_duration(expression.window) : "";
    return MetricFault{"idle", fmt::format("{} is 0 / 0: nothing was counted{}", expression.text, when),
                       true};
  }
  value.value = value.parts[0] / value.parts[1];
  return value;
}

} // namespace safe_deploy
