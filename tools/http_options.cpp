#include "http_options.hpp"

#include "quantity.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace safe_deploy {

namespace {

Result<std::string> bearer_file(const CommandLine& line) {
  if (!line.has("bearer")) return std::string();
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
  return secret_path(line.value("bearer"), credentials != nullptr ? credentials : "");
}

} // namespace

Result<HttpRequest> read_http_request(const CommandLine& line, const std::string& url) {
  auto parsed = parse_url(url);
  if (!parsed) return forward_error(parsed);
  auto bearer = bearer_file(line);
  if (!bearer) return forward_error(bearer);
  HttpRequest request{.url = std::move(*parsed),
                      .method = line.value("method"),
                      .headers = line.values("header"),
                      .bearer_file = std::move(*bearer),
                      .ca_file = line.value("cacert"),
                      .certificate_file = line.value("cert"),
                      .key_file = line.value("key"),
                      .insecure = line.has("insecure"),
                      .unix_socket = line.value("unix-socket"),
                      .follow = line.has("location")};
  if (line.has("data")) request.data = line.value("data");
  if (line.has("max-body")) {
    auto size = parse_size(line.value("max-body"));
    if (!size) return forward_error(size);
    if (*size == 0) return fail(Outcome::usage, "--max-body", "must be more than nothing");
    request.max_body = *size;
  }
  return request;
}

Result<HttpExpectations> read_http_expectations(const CommandLine& line,
                                                std::function<void(const Error&)> on_late_error) {
  HttpExpectations expect;
  if (line.has("expect-status")) {
    auto status = StatusRanges::parse(line.value("expect-status"));
    if (!status) return forward_error(status);
    expect.status = std::move(*status);
  }
  for (const auto& text : line.values("expect-header")) {
    auto header = HttpExpectations::parse_header(text);
    if (!header) return forward_error(header);
    expect.headers.push_back(std::move(*header));
  }
  for (const auto& text : line.values("expect-body")) {
    auto regex = Regex::compile(text);
    if (!regex) return forward_error(regex);
    expect.body.push_back(std::move(*regex));
  }
  if (line.has("max-latency")) {
    auto latency = parse_duration(line.value("max-latency"));
    if (!latency) return forward_error(latency);
    if (*latency <= Duration::zero())
      return fail(Outcome::usage, "--max-latency", "must be more than nothing");
    expect.max_latency = *latency;
  }
  auto filters = line.values("expect-json");
  if (!filters.empty()) expect.json = JqFilters::start(std::move(filters), {}, std::move(on_late_error));
  return expect;
}

} // namespace safe_deploy
