#pragma once

#include "check.hpp"
#include "checks/identity.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "error.hpp"
#include "metrics.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace safe_deploy {

// Where a page of metrics is read.
class MetricSource {
 public:
  MetricSource() = default;
  MetricSource(const MetricSource&) = delete;
  MetricSource& operator=(const MetricSource&) = delete;
  virtual ~MetricSource() = default;

  // Hands the page to `reader` as far as that wants it. Why there is none is an Answer, a no or skipped.
  virtual std::optional<Answer> read(MetricReader& reader, const Deadline& deadline) = 0;

  [[nodiscard]] virtual std::string name() const = 0; // the URL or path
  [[nodiscard]] virtual std::shared_ptr<Check> gate() { return nullptr; }
};

// Reasons: those of HttpFault, "status", and what the identity says.
Result<std::shared_ptr<MetricSource>> make_metric_url(HttpRequest request,
                                                      std::shared_ptr<const Identity> identity = {});

// It is read by a process of its own, in pieces. Reasons: "missing", "not-a-file", "timeout", and
// "unreadable", which is skipped.
std::shared_ptr<MetricSource> make_metric_file(std::string path);

struct MetricBounds {
  std::optional<double> min = {};
  std::optional<double> max = {};
};

// Whether the value of an expression over a page of metrics is within its bounds. A rate needs two looks at
// the page: where no earlier ask had one that is old enough, it waits. Reasons: "high", "low", "nan", those
// of the page (metrics.hpp) and of the source, and "timeout" where there was no time for the second look.
class MetricCheck final : public Check {
 public:
  MetricCheck(MetricExpression expression, MetricBounds bounds, std::shared_ptr<MetricSource> source)
      : expression_(std::move(expression)), bounds_(bounds), source_(std::move(source)) {}

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] std::shared_ptr<Check> gate() override { return source_->gate(); }

 private:
  struct Look {
    Clock::time_point when;
    MetricSamples samples;
  };

  std::variant<Look, Answer> look(const Deadline& deadline);
  const Look* earlier_look(Clock::time_point now);
  void keep(Look look);
  [[nodiscard]] Answer no_value(const MetricFault& fault) const;
  [[nodiscard]] Answer judge(const Look& now, const Look* before) const;
  [[nodiscard]] Answer judge(double value) const;
  [[nodiscard]] std::string bounds_text() const;

  MetricExpression expression_;
  MetricBounds bounds_;
  std::shared_ptr<MetricSource> source_;
  std::deque<Look> looks_ = {}; // of a rate: the earlier ones, oldest first
};

// metric = EXPRESSION and its further keys (safe-deploy.conf(5)).
inline constexpr KindKey metric_keys[] = {
    {"metric"},
    {"url", judge::url},
    {"file", judge::absolute_path},
    {"max", judge::number},
    {"min", judge::number},
    {.name = "header", .judge = judge::header, .repeats = true},
    {"bearer", judge::token_source},
    {"cacert", judge::absolute_path},
    {"cert", judge::absolute_path},
    {"key", judge::absolute_path},
    {.name = "insecure", .judge = judge::yes_or_no, .otherwise = "no"},
    {"unix-socket", judge::absolute_path},
};
inline constexpr Explanation metric_explained{
    "A service counts its own errors, queues and latencies: that it answers one request well says nothing of "
    "the others.",
    "Read the page with 'curl', and what the numbers were before in the monitoring; then the service's log."};
Result<std::shared_ptr<Check>> make_metric_check(const Values& values);

} // namespace safe_deploy
