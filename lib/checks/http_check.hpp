#pragma once

#include "check.hpp"
#include "checks/identity.hpp"
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
Result<std::shared_ptr<Check>> make_http_check(const Values& values);

} // namespace safe_deploy
