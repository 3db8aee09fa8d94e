#include "checks/expand.hpp"
#include "checks/http_check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/status_ranges.hpp"
#include "fuzz.hpp"
#include "http.hpp"
#include "metrics.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "regex.hpp"
#include "target.hpp"

#include <algorithm>
#include <string>

using namespace safe_deploy;

namespace {

// What a line of a configuration can hold: other values are refused before they come here.
bool is_text(std::string_view text) {
  return is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
           return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
         });
}

// What is said goes to a terminal.
void verify_said(std::string_view input, std::string_view said) {
  if (is_text(input)) fuzz_verify(is_text(said));
}

template <class T>
void verify(std::string_view input, const Result<T>& parsed) {
  if (!parsed) verify_said(input, parsed.error().text());
}

// The judge and the parser are of one mind.
template <class T>
void verify(std::string_view input, const Result<T>& parsed, KindKey::Judge judge) {
  verify(input, parsed);
  fuzz_verify(parsed.has_value() == judge(input).empty());
}

void judge_all(std::string_view input) {
  for (const auto& kind : check_kinds())
    for (const auto& key : kind.keys)
      if (key.judge != nullptr) verify_said(input, key.judge(input));
}

void read_quantities(std::string_view input) {
  const auto duration = parse_duration(input);
  verify(input, duration);
  if (duration) {
    fuzz_verify(*duration >= Duration::zero() && !format_duration(*duration).empty());
    fuzz_verify(judge::positive_duration(input).empty() ==
                (*duration > Duration::zero() && *duration != without_limit));
  }
  const auto size = parse_size(input);
  verify(input, size);
  if (size) {
    fuzz_verify(!format_size(*size).empty());
    fuzz_verify(judge::positive_size(input).empty() == (*size > 0));
  }
  const auto percent = parse_percent(input);
  verify(input, percent, judge::percent);
  if (percent) fuzz_verify(*percent >= 0 && *percent <= 100);
  const auto number = parse_number(input);
  verify(input, number);
  if (number) fuzz_verify(judge::number(input).empty()); // a number may be too large, which it does not judge
  verify(input, parse_count(input, 0, 1000));
  verify(input, parse_boolean(input), judge::yes_or_no);
}

void read_names(std::string_view input) {
  verify(input, parse_target(input), judge::target);
  verify(input, parse_unit_name(input), judge::unit);
  verify(input, parse_app_name(input));
  verify(input, parse_release_name(input));
  verify(input, parse_network(input));
  const auto url = parse_url(input);
  verify(input, url);
  if (url) fuzz_verify(url->port != 0 && !url->host.empty());
}

// ASan looks for the NUL behind a text that regexec(3) gets, although REG_STARTEND needs none.
std::string beginning(std::string_view input) {
  return std::string(input.substr(0, 64));
}

void read_expectations(std::string_view input) {
  const auto ranges = StatusRanges::parse(input);
  verify(input, ranges, judge::status_ranges);
  if (ranges) fuzz_verify(!ranges->contain(99) && !ranges->contain(600));
  const auto regex = Regex::compile(input);
  verify(input, regex, judge::regex);
  if (regex) (void)regex->found_in(beginning(input));
  const auto header = HttpExpectations::parse_header(input);
  verify(input, header);
  if (judge::header_pattern(input).empty()) fuzz_verify(header.has_value());
  const auto expression = MetricExpression::parse(input);
  verify(input, expression);
  if (expression) fuzz_verify(expression->terms.size() == 1 || expression->terms.size() == 2);
}

void expand_all(std::string_view input) {
  const CheckContext context{.app = "demo", .release = "v\"\\1", .link = "/srv/demo/current"};
  for (const Quote quote : {Quote(nullptr), quote_for_json, quote_for_regex, quote_for_url}) {
    const auto expanded = expand(input, context, quote);
    verify(input, expanded);
    fuzz_verify(expanded.has_value() == judge_placeholders(input).empty());
  }
  const auto pattern = Regex::compile("^" + quote_for_regex(beginning(input)) + "$");
  if (pattern) fuzz_verify(pattern->found_in(beginning(input)));
}

} // namespace

void fuzz(std::string_view input) {
  judge_all(input);
  read_quantities(input);
  read_names(input);
  read_expectations(input);
  expand_all(input);
}
