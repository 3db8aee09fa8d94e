#include "fuzz.hpp"
#include "metrics.hpp"
#include "name.hpp"

#include <algorithm>
#include <array>
#include <cstring>

using namespace safe_deploy;

namespace {

using Page = std::variant<MetricSamples, MetricFault>;

const std::vector<MetricExpression>& expressions() {
  static const std::vector<MetricExpression> all = [] {
    std::vector<MetricExpression> parsed;
    for (const char* text : {R"(a)", R"(rate(a_total{x=~"5..",y!="z"}[10s]) / rate(a_total[10s]))",
                             R"(histogram_quantile(0.95, a_bucket))",
                             R"(histogram_quantile(0.5, rate(a_bucket{x!~"y|z"}[1s])) / a)",
                             R"(max(a) / count(a))", R"(min(rate(a{x=""}[1m])))"})
      parsed.push_back(MetricExpression::parse(text).value());
    return parsed;
  }();
  return all;
}

// In pieces that are as long as the bytes of the page say.
Page read(const MetricExpression& expression, std::string_view page, bool in_pieces) {
  MetricReader reader(expression);
  while (!page.empty()) {
    const std::size_t wanted = in_pieces ? static_cast<unsigned char>(page.front()) % 13U + 1 : page.size();
    const std::size_t size = std::min(wanted, page.size());
    const bool more = reader.take(page.substr(0, size));
    page.remove_prefix(size);
    if (!more) {
      fuzz_verify(!reader.take(page)); // and it stays so
      break;
    }
  }
  return reader.finish();
}

// Bit by bit: a NaN is not equal to itself.
bool same(double a, double b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

bool same(const TermSamples& a, const TermSamples& b) {
  return a.known == b.known && std::equal(a.samples.begin(), a.samples.end(), b.samples.begin(),
                                          b.samples.end(), [](const auto& one, const auto& other) {
                                            return one.series == other.series &&
                                                   same(one.value, other.value) &&
                                                   same(one.upper_bound, other.upper_bound);
                                          });
}

void verify(const MetricFault& fault) {
  fuzz_verify(!fault.reason.empty() && !fault.sentence.empty());
  fuzz_verify(is_utf8(fault.sentence) && fault.sentence == printable(fault.sentence, 1000));
}

void verify_same(const Page& whole, const Page& pieces) {
  fuzz_verify(whole.index() == pieces.index());
  if (const auto* fault = std::get_if<MetricFault>(&whole)) {
    verify(*fault);
    fuzz_verify(fault->sentence == std::get<MetricFault>(pieces).sentence);
    return;
  }
  const auto& a = std::get<MetricSamples>(whole);
  const auto& b = std::get<MetricSamples>(pieces);
  fuzz_verify(std::equal(a.begin(), a.end(), b.begin(), b.end(),
                         [](const TermSamples& one, const TermSamples& other) { return same(one, other); }));
  for (const auto& term : a)
    fuzz_verify(term.samples.size() <= most_series && (term.known || term.samples.empty()));
}

} // namespace

// A line of "%%" parts an earlier page from a later one.
void fuzz(std::string_view input) {
  constexpr std::string_view separator = "\n%%\n";
  const std::size_t end = std::min(input.find(separator), input.size());
  const std::string_view earlier = input.substr(0, end);
  const std::string_view later = end == input.size() ? earlier : input.substr(end + separator.size());
  for (const auto& expression : expressions()) {
    const Page before = read(expression, earlier, false);
    const Page now = read(expression, later, false);
    verify_same(now, read(expression, later, true));
    if (!std::holds_alternative<MetricSamples>(before) || !std::holds_alternative<MetricSamples>(now))
      continue;
    const auto value =
        evaluate(expression, std::get<MetricSamples>(now), &std::get<MetricSamples>(before), 10);
    if (const auto* fault = std::get_if<MetricFault>(&value))
      verify(*fault);
    else
      fuzz_verify(std::get<MetricValue>(value).parts.size() == (expression.terms.size() == 2 ? 2U : 0U));
  }
}
