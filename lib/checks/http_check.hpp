#pragma once

#include "check.hpp"
#include "checks/identity.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/status_ranges.hpp"
#include "checks/values.hpp"
#include "error.hpp"
#include "http.hpp"
#include "jq.hpp"
#include "regex.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// What a healthy answer looks like. All of it must hold.
struct HttpExpectations {
  struct Header {
    std::string name; // in lower case
    Regex value;
  };
  // "Name: REGEX". Outcome::usage.
  static Result<Header> parse_header(std::string_view text);

  StatusRanges status = StatusRanges::success();
  std::vector<Header> headers = {};
  std::vector<Regex> body = {};
  std::shared_ptr<JqFilters> json = {}; // nullptr: the body need not be JSON
  std::optional<Duration> max_latency = {};
};

// Makes a request and judges the answer. Reasons: those of HttpFault, and "filter", "status", "header",
// "body", "json", "too-large", "latency" and what the identity says.
class HttpCheck final : public Check {
 public:
  static Result<std::shared_ptr<HttpCheck>> create(HttpRequest request, HttpExpectations expectations,
                                                   std::shared_ptr<const Identity> identity = {});

  Answer ask(const Deadline& deadline) override;
  // Nothing is sent before somebody listens, as far as that can be seen.
  [[nodiscard]] std::shared_ptr<Check> gate() override {
    return make_listener_gate(client_.settings(), identity_.get());
  }

 private:
  struct Objection {
    std::string reason;
    std::string sentence;
  };

  HttpCheck(HttpClient client, HttpExpectations expectations, std::shared_ptr<const Identity> identity)
      : client_(std::move(client)), expect_(std::move(expectations)), identity_(std::move(identity)) {}

  [[nodiscard]] Answer no(std::string reason, std::string_view what) const;
  Answer judge(const HttpResponse& response);
  [[nodiscard]] std::optional<Objection> judge_status(const HttpResponse& response) const;
  [[nodiscard]] std::optional<Objection> judge_headers(const HttpResponse& response) const;
  [[nodiscard]] std::optional<Objection> judge_body(const HttpResponse& response) const;
  [[nodiscard]] std::optional<Objection> judge_latency(const HttpResponse& response) const;

  HttpClient client_;
  HttpExpectations expect_;
  std::shared_ptr<const Identity> identity_;
};

// http = URL and its further keys (safe-deploy.conf(5)).
inline constexpr KindKey http_keys[] = {
    {"http", judge::url},
    {.name = "expect-status", .judge = judge::status_ranges, .otherwise = "200-299"},
    {.name = "expect-json", .repeats = true, .filter = true},
    {"expect-body", judge::regex},
    {.name = "expect-header", .judge = judge::header_pattern, .repeats = true},
    {"max-latency", judge::positive_duration},
    {"method", judge::http_method},
    {"data"},
    {.name = "header", .judge = judge::header, .repeats = true},
    {"bearer", judge::token_source},
    {"cacert", judge::absolute_path},
    {"cert", judge::absolute_path},
    {"key", judge::absolute_path},
    {.name = "insecure", .judge = judge::yes_or_no, .otherwise = "no"},
    {"unix-socket", judge::absolute_path},
    {.name = "location", .judge = judge::yes_or_no, .otherwise = "no"},
    {.name = "max-body", .judge = judge::positive_size, .otherwise = "1M"},
};
Result<std::shared_ptr<Check>> make_http_check(const Values& values);

} // namespace safe_deploy
