#include "checks/metric_check.hpp"

#include "checks/http_check.hpp"
#include "http.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "read_apart.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <thread>
#include <utility>

namespace safe_deploy {

namespace {

class MetricUrl final : public MetricSource {
 public:
  static Result<std::shared_ptr<MetricSource>> create(HttpRequest request,
                                                      std::shared_ptr<const Identity> identity) {
    std::shared_ptr<MetricUrl> made(new MetricUrl(std::move(identity)));
    request.on_body = [url = made.get()](std::string_view piece) { return url->reader_->take(piece); };
    auto client = HttpClient::create(std::move(request));
    if (!client) return forward_error(client);
    made->client_.emplace(std::move(*client));
    return made;
  }

  std::optional<Answer> read(MetricReader& reader, const Deadline& deadline) override {
    reader_ = &reader;
    const HttpResult result = client_->request(deadline);
    if (const auto* failure = std::get_if<HttpFailure>(&result))
      return no_answer(client_->settings().url, *failure);
    const auto& response = std::get<HttpResponse>(result);
    if (identity_) {
      if (auto objection = identity_->objection(client_->settings(), response)) {
        objection->sentence = fmt::format("{}: {}", name(), objection->sentence);
        return objection;
      }
    }
    if (response.status != 200) return no("status", fmt::format("{}, expected 200", response.status));
    return std::nullopt;
  }

  [[nodiscard]] std::string name() const override { return client_->settings().url.shown(); }

  [[nodiscard]] std::shared_ptr<Check> gate() override {
    return make_listener_gate(client_->settings(), identity_.get());
  }

 private:
  explicit MetricUrl(std::shared_ptr<const Identity> identity) : identity_(std::move(identity)) {}

  [[nodiscard]] Answer no(std::string reason, std::string_view what) const {
    return Answer::no(std::move(reason), fmt::format("{}: {}", name(), what));
  }

  std::shared_ptr<const Identity> identity_;
  std::optional<HttpClient> client_ = {};
  MetricReader* reader_ = nullptr; // of the request that runs
};

class MetricFile final : public MetricSource {
 public:
  explicit MetricFile(std::string path) : path_(std::move(path)) {}

  std::optional<Answer> read(MetricReader& reader, const Deadline& deadline) override {
    const auto all = files_.read(
        path_, [&](std::string_view piece) { return reader.take(piece); }, deadline);
    if (all) return std::nullopt;
    const Error& error = all.error();
    if (error.outcome() == Outcome::timed_out)
      return Answer::no("timeout", fmt::format("{}: {}", name(), error.problem));
    if (error.outcome() == Outcome::no)
      return Answer::no("not-a-file", fmt::format("{}: {}", name(), error.problem));
    std::string sentence = fmt::format("{}: {}", name(), error.code.message());
    if (error.code == std::errc::no_such_file_or_directory || error.code == std::errc::not_a_directory)
      return Answer::no("missing", std::move(sentence));
    return Answer::skipped("unreadable", std::move(sentence));
  }

  [[nodiscard]] std::string name() const override { return printable(path_); }

 private:
  std::string path_;
  FileApart files_ = {};
};

// As many digits as it takes to tell it from the bound.
std::string told_apart(double value, double bound) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::string text = format_number(value);
  if (value == bound || text != format_number(bound)) return text;
  std::array<char, 40> exact{};
  (void)std::snprintf(exact.data(), exact.size(), "%.15g", value);
  return exact.data();
}

} // namespace

Result<std::shared_ptr<MetricSource>> make_metric_url(HttpRequest request,
                                                      std::shared_ptr<const Identity> identity) {
  return MetricUrl::create(std::move(request), std::move(identity));
}

std::shared_ptr<MetricSource> make_metric_file(std::string path) {
  return std::make_shared<MetricFile>(std::move(path));
}

std::variant<MetricCheck::Look, Answer> MetricCheck::look(const Deadline& deadline) {
  MetricReader reader(expression_, deadline);
  if (auto objection = source_->read(reader, deadline)) return std::move(*objection);
  const auto when = Clock::now();
  auto page = reader.finish();
  if (const auto* fault = std::get_if<MetricFault>(&page)) return no_value(*fault);
  Look look{when, std::move(std::get<MetricSamples>(page))};
  if (const auto missing = missing_metric(expression_, look.samples)) return no_value(*missing);
  return look;
}

// The latest one that is as old as the window at least. Those before it are of no more use.
const MetricCheck::Look* MetricCheck::earlier_look(Clock::time_point now) {
  while (looks_.size() > 1 && now - looks_[1].when >= expression_.window) looks_.pop_front();
  return !looks_.empty() && now - looks_.front().when >= expression_.window ? &looks_.front() : nullptr;
}

// Not each of them: who asks every second and looks back an hour needs no 3600 pages.
void MetricCheck::keep(Look look) {
  constexpr int kept_in_a_window = 8;
  if (looks_.empty() || look.when - looks_.back().when >= expression_.window / kept_in_a_window)
    looks_.push_back(std::move(look));
}

Answer MetricCheck::ask(const Deadline& deadline) {
  auto looked = look(deadline);
  if (auto* objection = std::get_if<Answer>(&looked)) return std::move(*objection);
  auto* now = &std::get<Look>(looked);
  if (expression_.window == Duration::zero()) return judge(*now, nullptr);
  if (earlier_look(now->when) == nullptr) {
    keep(std::move(*now));
    const auto ready = looks_.front().when + expression_.window;
    if (ready >= deadline.when()) {
      Answer answer =
          Answer::no("timeout", fmt::format("{}: a rate over {} needs two looks so far apart, and "
                                            "there was no time for the second",
                                            source_->name(), format_duration(expression_.window)));
      answer.counts = false; // it has not said no
      return answer;
    }
    std::this_thread::sleep_until(ready); // it is the time itself that is awaited here
    looked = look(deadline);
    if (auto* objection = std::get_if<Answer>(&looked)) return std::move(*objection);
    now = &std::get<Look>(looked);
  }
  Answer answer = judge(*now, earlier_look(now->when));
  keep(std::move(*now));
  return answer;
}

Answer MetricCheck::no_value(const MetricFault& fault) const {
  std::string sentence = fmt::format("{}: {}", source_->name(), fault.sentence);
  return fault.unknown ? Answer::skipped(fault.reason, std::move(sentence))
                       : Answer::no(fault.reason, std::move(sentence));
}

Answer MetricCheck::judge(const Look& now, const Look* before) const {
  const double seconds =
      before != nullptr ? std::chrono::duration<double>(now.when - before->when).count() : 0;
  const auto found =
      evaluate(expression_, now.samples, before != nullptr ? &before->samples : nullptr, seconds);
  if (const auto* fault = std::get_if<MetricFault>(&found)) return no_value(*fault);
  const auto& value = std::get<MetricValue>(found);
  Answer answer = judge(value.value);
  const auto add = [&](const char* name, double number) {
    if (std::isfinite(number)) answer.figures.push_back({name, number, ""}); // JSON has no other numbers
  };
  add("value", value.value);
  if (value.parts.size() == 2) {
    add("numerator", value.parts[0]);
    add("denominator", value.parts[1]);
  }
  return answer;
}

std::string MetricCheck::bounds_text() const {
  if (bounds_.min && bounds_.max)
    return fmt::format("from {} to {}", format_number(*bounds_.min), format_number(*bounds_.max));
  return bounds_.max ? "at most " + format_number(*bounds_.max) : "at least " + format_number(*bounds_.min);
}

Answer MetricCheck::judge(double value) const {
  const auto sentence = [&](std::string_view shown, std::string_view verdict) {
    return fmt::format("{} is {}, {}", printable(expression_.text), shown, verdict);
  };
  // Nothing is known of it, and it is neither more nor less than anything.
  if (std::isnan(value)) return Answer::no("nan", sentence("NaN", "and should be " + bounds_text()));
  if (bounds_.max && value > *bounds_.max)
    return Answer::no("high",
                      sentence(told_apart(value, *bounds_.max), "more than " + format_number(*bounds_.max)));
  if (bounds_.min && value < *bounds_.min)
    return Answer::no("low",
                      sentence(told_apart(value, *bounds_.min), "less than " + format_number(*bounds_.min)));
  return Answer::yes(sentence(told_apart(value, bounds_.max ? *bounds_.max : *bounds_.min), bounds_text()));
}

namespace {

struct Source {
  std::shared_ptr<MetricSource> source;
  bool needs_no_rights;
};

Result<Source> read_source(const Values& values) {
  if (values.has("url") == values.has("file"))
    return fail(Outcome::bad_config, values.place("metric"),
                "metric: either url or file must say where the metrics are");
  if (values.has("url")) {
    auto request = read_http_request(values, "url");
    if (!request) return forward_error(request);
    const bool free = needs_no_rights(*request);
    auto source = make_metric_url(std::move(*request), values.context().identity);
    if (!source) return values.wrong("url", source.error());
    return Source{std::move(*source), free};
  }
  for (const char* key : {"header", "bearer", "cacert", "cert", "key", "insecure", "unix-socket"})
    if (values.has(key))
      return fail(Outcome::bad_config, values.place(key),
                  fmt::format("{}: is for a url, and not for a file", key));
  auto path = values.text("file");
  if (!path) return forward_error(path);
  return Source{make_metric_file(std::move(*path)), false};
}

Result<MetricBounds> read_bounds(const Values& values) {
  MetricBounds bounds;
  for (const auto& [key, bound] : {std::pair("min", &bounds.min), std::pair("max", &bounds.max)}) {
    if (!values.has(key)) continue;
    auto number = values.parsed(key, parse_number, 0.0);
    if (!number) return forward_error(number);
    *bound = *number;
  }
  if (!bounds.min && !bounds.max)
    return fail(Outcome::bad_config, values.place("metric"),
                "metric: needs max or min: without a bound it says nothing");
  if (bounds.min && bounds.max && *bounds.min > *bounds.max)
    return fail(Outcome::bad_config, values.place("min"), "min: is more than max");
  return bounds;
}

Result<MetricExpression> read_expression(const Values& values) {
  auto text = values.text("metric", quote_for_json); // as the inside of a text in quotes
  if (!text) return forward_error(text);
  auto expression = MetricExpression::parse(*text);
  if (!expression) return values.wrong("metric", expression.error());
  // Two looks at the page must fit into the time of one answer.
  if (values.timeout() != Duration::zero() && expression->window >= values.timeout())
    return fail(Outcome::bad_config, values.place("metric"),
                fmt::format("metric: a rate over {} does not fit into timeout = {}: raise timeout",
                            format_duration(expression->window), format_duration(values.timeout())));
  return expression;
}

} // namespace

Result<std::shared_ptr<Check>> make_metric_check(const Values& values) {
  auto expression = read_expression(values);
  if (!expression) return forward_error(expression);
  auto bounds = read_bounds(values);
  if (!bounds) return forward_error(bounds);
  auto source = read_source(values);
  if (!source) return forward_error(source);
  auto check = std::make_shared<MetricCheck>(std::move(*expression), *bounds, std::move(source->source));
  if (source->needs_no_rights) check->ask_as(values.context().unprivileged);
  return check;
}

} // namespace safe_deploy
