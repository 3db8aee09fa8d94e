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
#include <utility>
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
// "body", "json", "too-large", "memory", "latency" and what the identity says.
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

  using Numbers = std::vector<std::pair<std::string, double>>;

  HttpCheck(HttpClient client, HttpExpectations expectations, std::shared_ptr<const Identity> identity)
      : client_(std::move(client)), expect_(std::move(expectations)), identity_(std::move(identity)) {}

  [[nodiscard]] Answer no(std::string reason, std::string_view what) const;
  Answer judge(const HttpResponse& response, const Deadline& deadline);
  [[nodiscard]] static Objection undecided(std::string_view where, const Error& error);
  [[nodiscard]] std::optional<Objection> judge_status(const HttpResponse& response) const;
  [[nodiscard]] std::optional<Objection> judge_headers(const HttpResponse& response,
                                                       const Deadline& deadline) const;
  [[nodiscard]] std::optional<Objection> judge_body(const HttpResponse& response,
                                                    const Deadline& deadline) const;
  [[nodiscard]] std::optional<Objection> judge_json(const HttpResponse& response, const Deadline& deadline,
                                                    Numbers& numbers) const;
  [[nodiscard]] std::optional<Objection> judge_latency(const HttpResponse& response) const;

  HttpClient client_;
  HttpExpectations expect_;
  std::shared_ptr<const Identity> identity_;
};

// The answer of a request that got none. Skipped ("permission", "local") is what was refused to us here, be
// it a file or a socket, or for want of memory or descriptors.
Answer no_answer(const Url& url, const HttpFailure& failure);

// The request that a check's section asks for: its URL is the value of `url_key`; of the keys of Kind http it
// has those that its kind takes.
Result<HttpRequest> read_http_request(const Values& values, std::string_view url_key);

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
inline constexpr Explanation http_explained{
    "A process that runs and a port that is open say little: only its answer tells that a service works.",
    "Ask the URL with 'curl -v' and read the service's log: 'journalctl -u UNIT -e'."};
Result<std::shared_ptr<Check>> make_http_check(const Values& values);

} // namespace safe_deploy
