#include "metrics.hpp"

#include "catch.hpp"

#include <cmath>
#include <limits>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

MetricExpression expression(std::string_view text) {
  auto parsed = MetricExpression::parse(text);
  INFO(text);
  INFO((parsed ? std::string() : parsed.error().text()));
  REQUIRE(parsed);
  return std::move(*parsed);
}

std::string error_of(std::string_view text) {
  const auto parsed = MetricExpression::parse(text);
  INFO(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().outcome() == Outcome::usage);
  return parsed.error().text();
}

std::variant<MetricSamples, MetricFault> read(const MetricExpression& asked, std::string_view page,
                                              std::size_t piece = std::string_view::npos) {
  MetricReader reader(asked);
  for (std::size_t at = 0; at < page.size() && reader.take(page.substr(at, piece));
       at += std::min(piece, page.size()))
    ;
  return reader.finish();
}

MetricSamples samples(const MetricExpression& asked, std::string_view page) {
  auto found = read(asked, page);
  if (const auto* fault = std::get_if<MetricFault>(&found)) FAIL(fault->sentence);
  return std::get<MetricSamples>(std::move(found));
}

std::variant<MetricValue, MetricFault> evaluated(std::string_view text, std::string_view page,
                                                 std::string_view earlier = "", double seconds = 10) {
  const MetricExpression asked = expression(text);
  const MetricSamples before = samples(asked, earlier);
  return evaluate(asked, samples(asked, page), &before, seconds);
}

double value(std::string_view text, std::string_view page, std::string_view earlier = "",
             double seconds = 10) {
  const auto found = evaluated(text, page, earlier, seconds);
  INFO(text);
  if (const auto* fault = std::get_if<MetricFault>(&found)) FAIL(fault->sentence);
  return std::get<MetricValue>(found).value;
}

MetricFault fault(std::string_view text, std::string_view page, std::string_view earlier = "") {
  const auto found = evaluated(text, page, earlier);
  REQUIRE(std::holds_alternative<MetricFault>(found));
  return std::get<MetricFault>(found);
}

MetricFault page_fault(std::string_view text, std::string_view page) {
  const MetricExpression asked = expression(text);
  const auto found = read(asked, page);
  REQUIRE(std::holds_alternative<MetricFault>(found));
  return std::get<MetricFault>(found);
}

constexpr const char* requests =
    "# HELP http_requests_total Requests \"so far\".\n"
    "# TYPE http_requests_total counter\n"
    "http_requests_total{method=\"get\",status=\"200\"} 900\n"
    "http_requests_total{method=\"get\",status=\"500\"} 7\n"
    "http_requests_total{method=\"post\",status=\"503\"} 3\n"
    "http_requests_total_more 1e6\n"
    "up 1\n";

} // namespace

TEST_CASE("an expression names a metric, its labels and what is made of them") {
  const auto asked = expression(R"( sum( rate( a:b_c{x="1", y=~"5..",z!='q',} [1m30s] ) ) / d )");
  REQUIRE(asked.terms.size() == 2);
  CHECK(asked.window == 90s);
  const MetricTerm& first = asked.terms[0];
  CHECK(first.text == R"(sum( rate( a:b_c{x="1", y=~"5..",z!='q',} [1m30s] ) ))");
  CHECK(first.selector.name == "a:b_c");
  CHECK(first.rate);
  CHECK_FALSE(first.quantile);
  REQUIRE(first.selector.matchers.size() == 3);
  CHECK(first.selector.matchers[1].label == "y");
  CHECK(first.selector.matchers[1].kind == LabelMatcher::Kind::matching);
  CHECK(first.selector.matchers[2].value == "q");
  CHECK(asked.terms[1].text == "d");
  CHECK_FALSE(asked.terms[1].rate);

  const auto quantile = expression("histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m])))");
  CHECK(quantile.terms[0].quantile == 0.95);
  CHECK(quantile.terms[0].rate);
  CHECK(expression("histogram_quantile(1e-1,sum(rate(x_bucket[5m])) by(le))/x_count").terms.size() == 2);
  CHECK(expression("rate").terms[0].selector.name == "rate"); // a metric may be called so
  CHECK(expression("sum / count").terms.size() == 2);
}

TEST_CASE("what is wrong with an expression is told with its place") {
  CHECK(error_of("") == "at the end: expected the name of a metric or of a function");
  CHECK(error_of("5") == "at '5': expected the name of a metric or of a function");
  CHECK(error_of("up up") == "at 'up': expected a '/' or the end");
  CHECK(error_of("a / b / c") == "at '/ c': expected the end");
  CHECK(error_of("a + b") == "at '+ b': expected a '/' or the end");
  CHECK(error_of("a /") == "at the end: expected the name of a metric or of a function");
  CHECK(error_of("a > 1") == "at '> 1': expected a '/' or the end");
  CHECK(error_of("rate(a)") == "at ')': expected the time of the rate, such as [10s]");
  CHECK(error_of("rate(a[0s])") == "at '0s])': expected a time, such as 10s");
  CHECK(error_of("rate(a[infinity])") == "at 'infinity])': expected a time, such as 10s");
  CHECK(error_of("rate(a[10s)") == "at '10s)': expected a time and ']'");
  CHECK(error_of("rate(a[10s]") == "at the end: expected ')'");
  CHECK(error_of("rate(a[10s]) / rate(b[20s])") == "at '20s])': expected the same time as in the other rate");
  CHECK(error_of("irate(a[10s])").find("at 'irate(a[10s])': is no function that is known here") == 0);
  CHECK(error_of("sum(max(a))").find("at 'max(a))': is no function that is known here") == 0);
  CHECK(error_of("rate(rate(a[10s])[10s])") ==
        "at '(a[10s])[10s])': expected the time of the rate, such as [10s]");
  CHECK(error_of("a{") == "at the end: expected the name of a label");
  CHECK(error_of("a{b}") == "at '}': expected '=', '!=', '=~' or '!~'");
  CHECK(error_of("a{b=c}") == "at 'c}': expected a text in quotes");
  CHECK(error_of("a{b=\"c}") == "at '\"c}': expected the quote that ends the text");
  CHECK(error_of("a{b=\"\\d\"}") == "at '\\d\"}': expected an escape, such as \\\\ for a backslash");
  CHECK(error_of("a{b=\"c\" d=\"e\"}") == "at 'd=\"e\"}': expected ',' or '}'");
  CHECK(error_of("a{__name__=\"c\"}") ==
        "at '__name__=\"c\"}': expected a label: the metric's name stands before the braces");
  CHECK(error_of("histogram_quantile(2, a_bucket)") ==
        "at '2, a_bucket)': expected a quantile of more than 0 and at most 1");
  CHECK(error_of("histogram_quantile(0.9 a_bucket)") == "at 'a_bucket)': expected ','");
  CHECK(error_of("histogram_quantile(0.9, a)") ==
        "at 'a)': expected the buckets of a histogram (their name ends in _bucket)");
  CHECK(error_of("histogram_quantile(0.9, sum(a_bucket))") ==
        "at 'sum(a_bucket))': expected sum by (le) (...): without it there are no buckets");
  CHECK(error_of("histogram_quantile(0.9, sum by (x) (a_bucket))") == "at 'x) (a_bucket))': expected le");
}

TEST_CASE("an expression that Prometheus would take for another one is refused") {
  CHECK(error_of("a{b=~\"(\"}").find("at '\"(\"}': '(' is not a regular expression (") == 0);
  CHECK(error_of("a{b=~\"a)|(b\"}").find("is not a regular expression") != std::string::npos);
  CHECK(error_of("a{b=~\"\\\\d+\"}").find("without a backslash before a letter or digit") !=
        std::string::npos);
  CHECK(error_of("a{b=~`[\\d]`}").find("without a backslash in brackets") != std::string::npos);
  CHECK(error_of("a{b=~\"(?i)x\"}").find("without '(?'") != std::string::npos);
  CHECK(error_of("a{b=~\"[[:alpha:]]\"}").find("without a class") != std::string::npos);
  (void)expression("a{b=~`1\\.2|[^]x]+`}");
}

TEST_CASE("numbers are decimal and finite") {
  CHECK(parse_number("0.01").value() == 0.01);
  CHECK(parse_number("-3").value() == -3);
  CHECK(parse_number("+1e-3").value() == 0.001);
  CHECK(parse_number(".5").value() == 0.5);
  for (const char* wrong :
       {"", "-", "nan", "inf", "Inf", "--1", "+-1", "1x", "0x10", "1e999", "1,5", " 1", "1e"})
    CHECK_FALSE(parse_number(wrong));
}

TEST_CASE("the series that match are summed") {
  CHECK(value("up", requests) == 1);
  CHECK(value("http_requests_total", requests) == 910);
  CHECK(value(R"(http_requests_total{status="500"})", requests) == 7);
  CHECK(value(R"(http_requests_total{status=~"5.."})", requests) == 10);
  CHECK(value(R"(http_requests_total{status!~"5..",method="get"})", requests) == 900);
  CHECK(value(R"(http_requests_total{status!="200",method!="post"})", requests) == 7);
  CHECK(value(R"(http_requests_total{status=~"5"})" + std::string(" / up"), // matches the whole value only
              std::string(requests) + "http_requests_total{status=\"5\"} 2\n") == 2);
  CHECK(value("max(http_requests_total)", requests) == 900);
  CHECK(value("min(http_requests_total)", requests) == 3);
  CHECK(value(R"(count(http_requests_total{status=~"5.."}))", requests) == 2);
  CHECK(value(R"(count(http_requests_total{status="404"}))", requests) == 0);
}

TEST_CASE("a label that is missing is as one that is empty") {
  constexpr const char* page = "a 1\na{x=\"\"} 2\na{x=\"y\"} 4\n";
  CHECK(value(R"(a{x=""})", page) == 1); // the same series twice: the first counts
  CHECK(value(R"(a{x!="y"})", page) == 1);
  CHECK(value(R"(a{x!=""})", page) == 4);
  CHECK(value(R"(a{x=~"y?"})", page) == 5);
  CHECK(value(R"(a{other=""})", page) == 5);
}

TEST_CASE("a series is the same in another order of its labels") {
  CHECK(value("a", "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1\n") == 1);
  CHECK(value("a", "a{x=\"1\",y=\"2\"} 1\na{x=\"2\",y=\"1\"} 1\n") == 2);
  CHECK(value("rate(a[10s])", "a{x=\"1\",y=\"2\"} 30\n", "a{y=\"2\",x=\"1\"} 10\n") == 2);
}

TEST_CASE("what the text format allows is read") {
  CHECK(value("a", "a 1") == 1); // no newline at the end
  CHECK(value("a", "a 1\r\n") == 1);
  CHECK(value("a", "  a\t 1 1700000000000\n") == 1);
  CHECK(value("a", "a{} 1 -5\n") == 1);
  CHECK(value("a", "a{ x = \"1\" , } 1\n") == 1);
  CHECK(value("a", "a {x=\"1\"} 1\n") == 1);
  CHECK(value("a", "a{x=\"}\"} 1\n") == 1);
  CHECK(value("a", "a 1 # {trace=\"x\"} 0.5 1.5\n# EOF\n") == 1);
  CHECK(value("a", "a{x=\"1\"} 1 1.5 # {} 1\n") == 1);
  CHECK(value("a", "a +1.5e3\n") == 1500);
  CHECK(value("a", "a -Inf\n") == -std::numeric_limits<double>::infinity());
  CHECK(value("a", "a +inf\n") == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(value("a", "a NaN\n")));
  CHECK(value("a", "a 1e-999\n") == 0);
  CHECK(value(R"(a{x="\"\\\n"})", "a{x=\"\\\"\\\\\\n\"} 1\n") == 1);
  CHECK(value("a{x=`\\t`}", "a{x=\"\\t\"} 1\n") == 1); // no escape there: a backslash and a t
  CHECK(value("a{x=\"\xc3\xa9\"}", "a{x=\"\xc3\xa9\"} 1\n") == 1);
}

TEST_CASE("lines of other metrics are passed over whatever they hold, and ours are not") {
  const std::string odd("ab{ 1\n{\"a\"} 7\nb\0\xff\n}{\nA 1\n#a x\n# TYPE\n#\n\n", 40);
  CHECK(value("a", odd + "a 1\n") == 1);
  const auto told = [](std::string_view line) {
    const MetricFault wrong = page_fault("a", "# x\n" + std::string(line) + "\na 1\n");
    CHECK(wrong.reason == "malformed");
    CHECK_FALSE(wrong.unknown);
    return wrong.sentence;
  };
  CHECK(told("a") == "line 2 cannot be read: 'a'");
  CHECK(told("a one") == "line 2 cannot be read: 'a one'");
  CHECK(told("a{x=\"1\" 1") == "line 2 cannot be read: 'a{x=\"1\" 1'");
  CHECK(told("a\xff 1") == "line 2 cannot be read: 'a\\xff 1'");
  CHECK(told(std::string_view("a\0 1", 4)) == "line 2 cannot be read: 'a\\x00 1'");
  for (const char* line : {"a{x} 1", "a{x=1} 1", "a{x=\"1} 1", "a{x=\"1\"", "a{x=\"1\",y} 1", "a{,} 1",
                           "a 1 x", "a 1 2 3", "a 1e999", "a 0x1p3", "a --1", "a +-1", "a nanny", "a nan(1)",
                           "a{x=\"1\",x=\"2\"} 1", "a{x=\"\xff\"} 1", "a.b 1"})
    CHECK(told(line).find("line 2 cannot be read") == 0);
}

TEST_CASE("labels without end are no sample") {
  std::string line = "a{";
  for (int i = 0; i < 256; ++i) line += "x" + std::to_string(i) + "=\"\\\"\",";
  CHECK(value("a", line + "} 1\n") == 1);
  CHECK(page_fault("a", line + "y=\"\"} 1\n").reason == "malformed");
}

TEST_CASE("a line that is too long is told, wherever it stands") {
  const std::string longest(longest_metric_line, 'x');
  CHECK(value("a", longest + "\na 1\n") == 1);
  CHECK(page_fault("a", "a 1\n" + longest + "x\na 1\n").sentence == "line 2 is longer than 64K");
  CHECK(page_fault("a", "a 1\n# " + longest).reason == "malformed");
}

TEST_CASE("how a page is cut into pieces makes no difference") {
  const auto asked = expression(R"(rate(http_requests_total{status=~"5.."}[10s]) / up)");
  const std::string good = std::string(requests) + "up{x=\"\\n\"} 2\r\n";
  const std::string bad = good + "up{\n" + good;
  for (std::size_t piece = 1; piece < 60; ++piece) {
    const auto now = std::get<MetricSamples>(read(asked, good, piece));
    const auto before = samples(asked, "http_requests_total 0\nup 1\n");
    CHECK(std::get<MetricValue>(evaluate(asked, now, &before, 2)).value == 5.0 / 3);
    CHECK(std::get<MetricFault>(read(asked, bad, piece)).sentence == "line 9 cannot be read: 'up{'");
  }
}

TEST_CASE("more series than can be kept are told") {
  std::string page;
  for (std::size_t i = 0; i < most_series; ++i) page += "a{x=\"" + std::to_string(i) + "\"} 1\n";
  CHECK(value("a", page) == static_cast<double>(most_series));
  page += "a 1\n";
  const MetricFault wrong = page_fault("a", page);
  CHECK(wrong.reason == "too-many");
  CHECK(wrong.sentence == "more than 10000 series of a match");
  CHECK(value(R"(a{x="5"})", page) == 1);
}

TEST_CASE("a rate is the increase of each series in a second") {
  CHECK(value("rate(a[10s])", "a{x=\"1\"} 30\na{x=\"2\"} 5\n", "a{x=\"2\"} 5\na{x=\"1\"} 10\n") == 2);
  CHECK(value("max(rate(a[10s]))", "a{x=\"1\"} 30\na{x=\"2\"} 15\n", "a{x=\"2\"} 5\na{x=\"1\"} 10\n") == 2);
  CHECK(value("rate(a[10s])", "a 30\n", "a 10\n", 40) == 0.5);
}

TEST_CASE("a counter that began anew, or for the first time, is counted from 0") {
  CHECK(value("rate(a[10s])", "a 20\n", "a 1000\n") == 2);
  CHECK(value("rate(a[10s])", "a{x=\"1\"} 10\na{x=\"2\"} 10\n", "a{x=\"1\"} 10\n") == 1);
  CHECK(value("rate(a[10s])", "a{x=\"1\"} 10\n", "a{x=\"1\"} 10\na{x=\"2\"} 10\n") == 0);
}

TEST_CASE("what has not been counted yet is 0 in a rate, but a metric that nobody has is missing") {
  constexpr const char* errors = R"(rate(http_requests_total{status="404"}[10s]))";
  CHECK(value(errors, requests, requests) == 0);
  CHECK(value("rate(a_total[10s])", "# TYPE a_total counter\n") == 0);
  CHECK(value("rate(a_total[10s])", "# TYPE a counter\n") == 0); // OpenMetrics
  CHECK(fault("rate(a_total[10s])", "# TYPE a_to counter\n").sentence == "has no metric a_total");
  CHECK(fault("rate(a_total[10s])", "# HELP a_total Says nothing.\n").reason == "missing");
  CHECK(fault("http_request_total", requests).sentence == "has no metric http_request_total");
  CHECK(fault("http_requests_total / a", requests).sentence == "has no metric a");
  const MetricFault none = fault(R"(http_requests_total{status="404"})", requests);
  CHECK(none.reason == "missing");
  CHECK(none.sentence == "has no series of http_requests_total with such labels");
}

TEST_CASE("a ratio has two parts, and of nothing it is unknown") {
  constexpr const char* ratio = R"(rate(a{x="1"}[10s]) / rate(a[10s]))";
  const auto found = evaluated(ratio, "a{x=\"1\"} 10\na{x=\"2\"} 40\n", "a{x=\"1\"} 0\na{x=\"2\"} 10\n");
  const auto& ratio_of = std::get<MetricValue>(found);
  CHECK(ratio_of.value == 0.25);
  CHECK(ratio_of.parts == std::vector<double>{1, 4});
  const MetricFault idle = fault(ratio, "a 5\n", "a 5\n");
  CHECK(idle.reason == "idle");
  CHECK(idle.unknown);
  CHECK(idle.sentence == std::string(ratio) + " is 0 / 0: nothing was counted in 10s");
  CHECK(value("a / b", "a 1\nb 0\n") == std::numeric_limits<double>::infinity());
  CHECK(fault("a / b", "a 0\nb 0\n").reason == "idle");
}

TEST_CASE("NaN stays NaN") {
  CHECK(std::isnan(value("a", "a{x=\"1\"} NaN\na 1\n")));
  CHECK(std::isnan(value("a / b", "a NaN\nb 1\n")));
  CHECK(std::isnan(value("a / b", "a 0\nb NaN\n")));
  CHECK(std::isnan(value("rate(a[10s])", "a 1\n", "a NaN\n")));
  CHECK(std::isnan(value("rate(a[10s])", "a +Inf\n", "a +Inf\n")));
  CHECK(value("max(a)", "a NaN\na{x=\"1\"} 3\na{x=\"2\"} NaN\n") == 3); // as in Prometheus
  CHECK(std::isnan(value("max(a)", "a NaN\n")));
}

TEST_CASE("a quantile is found within its bucket, as Prometheus does") {
  constexpr const char* page =
      "h_bucket{le=\"0.1\"} 10\nh_bucket{le=\"0.5\"} 60\nh_bucket{le=\"1\"} 90\nh_bucket{le=\"+Inf\"} 100\n"
      "h_sum 30\nh_count 100\n";
  const auto quantile = [](const char* q, std::string_view of) {
    const double found = value("histogram_quantile(" + std::string(q) + ", h_bucket)", of);
    return std::round(found * 1e9) / 1e9;
  };
  CHECK(quantile("0.5", page) == 0.42);
  CHECK(quantile("0.05", page) == 0.05);
  CHECK(quantile("0.9", page) == 1.0);
  CHECK(quantile("0.95", page) == 1); // in the bucket without a bound: the highest bound that there is
  CHECK(quantile("1", page) == 1);
  // Below 0 there is nothing to begin from.
  CHECK(quantile("0.1", "h_bucket{le=\"-1\"} 50\nh_bucket{le=\"2\"} 100\nh_bucket{le=\"+Inf\"} 100\n") == -1);
  // Those of several series are added up, in whatever order and form they stand there.
  CHECK(quantile("0.5",
                 "h_bucket{x=\"1\",le=\"Inf\"} 2\nh_bucket{x=\"1\",le=\"1.0\"} 1\n"
                 "h_bucket{x=\"2\",le=\"1\"} 1\nh_bucket{x=\"2\",le=\"+Inf\"} 2\n") == 1);
  // A bucket that was counted a little later than the one above it.
  CHECK(quantile("0.5", "h_bucket{le=\"1\"} 11\nh_bucket{le=\"2\"} 10\nh_bucket{le=\"+Inf\"} 20\n") ==
        0.909090909);
  CHECK(std::isnan(quantile("0.5", "h_bucket{le=\"1\"} NaN\nh_bucket{le=\"+Inf\"} 20\n")));
}

TEST_CASE("a quantile of a rate is one of what came since") {
  constexpr const char* asked = "histogram_quantile(0.5, sum by (le) (rate(h_bucket[10s])))";
  constexpr const char* before =
      "h_bucket{le=\"1\"} 1000\nh_bucket{le=\"3\"} 1000\nh_bucket{le=\"+Inf\"} 1000\n";
  constexpr const char* now =
      "h_bucket{le=\"1\"} 1000\nh_bucket{le=\"3\"} 1010\nh_bucket{le=\"+Inf\"} 1010\n";
  CHECK(value(asked, now, before) == 2);
  const MetricFault idle = fault(asked, before, before);
  CHECK(idle.reason == "idle");
  CHECK(idle.unknown);
  CHECK(idle.sentence == "h_bucket: nothing was observed in 10s");
  CHECK(fault(asked, "# TYPE h histogram\n").reason == "idle");
}

TEST_CASE("buckets that are none are told") {
  constexpr const char* asked = "histogram_quantile(0.5, h_bucket)";
  CHECK(fault(asked, "h_bucket{le=\"1\"} 1\n").sentence == "h_bucket has no bucket le=\"+Inf\"");
  CHECK(fault(asked, "h_bucket{le=\"+Inf\"} 1\n").reason == "buckets");
  CHECK(page_fault(asked, "h_bucket{le=\"one\"} 1\n").sentence ==
        "line 1 has no number as its label le: 'h_bucket{le=\"one\"} 1'");
  CHECK(page_fault(asked, "h_bucket 1\n").reason == "malformed");
  CHECK(page_fault(asked, "h_bucket{le=\"NaN\"} 1\n").reason == "malformed");
}

TEST_CASE("a million samples are read without being kept") {
  const auto asked = expression(R"(a{x="none",y=~"z+"} / b)");
  MetricReader reader(asked);
  std::string piece;
  for (int i = 0; i < 1000; ++i)
    piece += "a{x=\"some\",y=\"zzz\",path=\"/api/" + std::to_string(i) + "\"} 1\n";
  for (int i = 0; i < 1000; ++i) REQUIRE(reader.take(piece));
  REQUIRE(reader.take("a{x=\"none\",y=\"z\"} 3\nb 1\n"));
  const auto found = std::get<MetricSamples>(reader.finish());
  CHECK(found[0].samples.size() == 1);
}

TEST_CASE("labels that are hard to match cost no more than the deadline") {
  const auto label = [] {
    std::string text;
    std::uint32_t state = 1;
    for (int i = 0; i < 1024; ++i) text += (state = state * 1664525 + 1013904223) >> 31U == 0 ? 'a' : 'b';
    return text;
  }();
  const MetricExpression asked = expression("x{l=~\"(a|b)*a(a|b){100}\"}");
  const auto start = Clock::now();
  MetricReader reader(asked, Deadline::after(1s));
  for (int i = 0; i < 10'000 && reader.take("x{l=\"" + label + std::to_string(i) + "\"} 1\n"); ++i) continue;
  const auto page = reader.finish();
  CHECK(Clock::now() - start < 20s);
  REQUIRE(std::holds_alternative<MetricFault>(page));
  const auto& fault = std::get<MetricFault>(page);
  CHECK((fault.reason == "timeout" || fault.reason == "memory"));
  CHECK(fault.sentence.starts_with("line "));
  CHECK(fault.sentence.find(": its label l: ") != std::string::npos);
}

TEST_CASE("many choices are looked for in long labels") {
  std::string pattern = "a1";
  for (int i = 2; i < 390; ++i) pattern += "|a" + std::to_string(i);
  const MetricExpression asked = expression("x{l=~\"" + pattern + "\"}");
  const auto start = Clock::now();
  MetricReader reader(asked, Deadline::after(60s));
  for (int i = 0; i < 100; ++i) REQUIRE(reader.take("x{l=\"" + std::string(1024, 'a') + "\"} 1\n"));
  REQUIRE(reader.take("x{l=\"a200\"} 1\n"));
  const auto page = reader.finish();
  CHECK(Clock::now() - start < 20s);
  REQUIRE(std::holds_alternative<MetricSamples>(page));
  CHECK(std::get<MetricSamples>(page)[0].samples.size() == 1);
}
