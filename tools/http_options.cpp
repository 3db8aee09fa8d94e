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

Result<std::uint64_t> read_max_body(const CommandLine& line) {
  if (!line.has("max-body")) return default_max_body;
  auto size = of_option("max-body", parse_size(line.value("max-body")));
  if (size && *size == 0) return fail(Outcome::usage, "--max-body", "must be more than nothing");
  return size;
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
  auto max_body = read_max_body(line);
  if (!max_body) return forward_error(max_body);
  request.max_body = *max_body;
  if (auto readable = files_readable(request); !readable) return forward_error(readable);
  return request;
}

Result<HttpExpectations> read_http_expectations(const CommandLine& line,
                                                std::function<void(const Error&)> on_late_error,
                                                UserPtr user) {
  HttpExpectations expect;
  if (line.has("expect-status")) {
    auto status = of_option("expect-status", StatusRanges::parse(line.value("expect-status")));
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
    auto latency = of_option("max-latency", parse_limited_duration(line.value("max-latency")));
    if (!latency) return forward_error(latency);
    expect.max_latency = *latency;
  }
  auto filters = line.values("expect-json");
  if (filters.empty()) return expect;
  auto max_body = read_max_body(line);
  if (!max_body) return forward_error(max_body);
  expect.json =
      JqFilters::start(std::move(filters), {}, std::move(on_late_error), *max_body, std::move(user));
  return expect;
}

} // namespace safe_deploy
