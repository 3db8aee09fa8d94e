#include "checks/http_check.hpp"

#include "name.hpp"
#include "quantity.hpp"
#include "read_apart.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Where a redirect would lead; its query may hold a secret.
std::string redirect_target(const HttpResponse& response) {
  for (const auto& [name, value] : response.headers)
    if (name == "location") return fmt::format(" to {}", printable(value.substr(0, value.find('?')), 100));
  return "";
}

// The reason of what could not be judged.
std::string_view reason_of(const Error& error, std::string_view otherwise) {
  if (error.outcome() == Outcome::timed_out) return "timeout";
  return error.outcome() == Outcome::os_error ? "local" : otherwise;
}

} // namespace

Result<HttpExpectations::Header> HttpExpectations::parse_header(std::string_view text) {
  const std::size_t colon = text.find(':');
  std::string_view pattern = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  pattern.remove_prefix(std::min(pattern.find_first_not_of(' '), pattern.size()));
  if (colon == 0 || pattern.empty())
    return fail(Outcome::usage, fmt::format("'{}'", printable(text, 60)), "is not 'Name: REGEX'");
  auto regex = Regex::compile(pattern);
  if (!regex) return forward_error(regex);
  return Header{lower(text.substr(0, colon)), std::move(*regex)};
}

Result<std::shared_ptr<HttpCheck>> HttpCheck::create(HttpRequest request, HttpExpectations expectations,
                                                     std::shared_ptr<const Identity> identity) {
  auto client = HttpClient::create(std::move(request));
  if (!client) return forward_error(client);
  return std::shared_ptr<HttpCheck>(
      new HttpCheck(std::move(*client), std::move(expectations), std::move(identity)));
}

Answer no_answer(const Url& url, const HttpFailure& failure) {
  Answer answer =
      Answer::no(std::string(word(failure.fault)), fmt::format("{}: {}", url.shown(), failure.sentence));
  answer.counts = failure.answered;
  const Error refused{"", "", {failure.error_number, std::system_category()}};
  if (is_not_permitted(refused)) answer.reason = "permission";
  if (is_not_permitted(refused) || is_out_of_resources(refused)) answer.verdict = Verdict::skipped;
  return answer;
}

Answer HttpCheck::no(std::string reason, std::string_view what) const {
  return {.verdict = Verdict::no,
          .reason = std::move(reason),
          .sentence = fmt::format("{}: {}", client_.settings().url.shown(), what)};
}

Answer HttpCheck::ask(const Deadline& deadline) {
  // Nothing is sent before the filters are known to be filters.
  if (expect_.json) {
    if (auto compiled = expect_.json->compiled(deadline); !compiled) {
      Answer answer = no(std::string(reason_of(compiled.error(), "filter")), compiled.error().text());
      answer.final = answer.reason == "filter";
      answer.counts = answer.final;
      return answer;
    }
  }
  const HttpResult result = client_.request(deadline);
  if (const auto* failure = std::get_if<HttpFailure>(&result))
    return no_answer(client_.settings().url, *failure);
  return judge(std::get<HttpResponse>(result), deadline);
}

Answer HttpCheck::judge(const HttpResponse& response, const Deadline& deadline) {
  Answer answer{.verdict = Verdict::yes,
                .reason = "ok",
                .sentence = fmt::format("{}: {}", client_.settings().url.shown(), response.status)};
  Numbers numbers;
  if (auto foreign = identity_ ? identity_->objection(client_.settings(), response) : std::nullopt) {
    answer = no(foreign->reason, foreign->sentence);
    answer.final = foreign->final;
    answer.counts = foreign->counts;
  } else {
    auto objection = judge_status(response);
    if (!objection) objection = judge_headers(response, deadline);
    if (!objection) objection = judge_body(response, deadline);
    auto json_objection = judge_json(response, deadline, numbers); // also for the figures
    if (!objection) objection = std::move(json_objection);
    if (!objection) objection = judge_latency(response);
    if (objection) answer = no(objection->reason, fmt::format("{}{}", response.status, objection->sentence));
  }
  answer.figures = {{"latency", seconds(response.latency), "s"},
                    {"status", static_cast<double>(response.status), ""},
                    {"size", static_cast<double>(response.body.size()), "B"}};
  for (auto& [path, value] : numbers) answer.figures.push_back({std::move(path), value, ""});
  return answer;
}

// What an expression has been looked for in, and it could not be told whether it is there.
HttpCheck::Objection HttpCheck::undecided(std::string_view where, const Error& error) {
  return {std::string(reason_of(error, "memory")), fmt::format(", but {}: {}", where, error.text())};
}

std::optional<HttpCheck::Objection> HttpCheck::judge_status(const HttpResponse& response) const {
  if (expect_.status.contain(response.status)) return std::nullopt;
  return Objection{"status",
                   fmt::format("{}, expected {}", redirect_target(response), expect_.status.text())};
}

std::optional<HttpCheck::Objection> HttpCheck::judge_headers(const HttpResponse& response,
                                                             const Deadline& deadline) const {
  for (const auto& wanted : expect_.headers) {
    const std::string* seen = nullptr;
    bool found = false;
    for (const auto& [name, value] : response.headers) {
      if (name != wanted.name) continue;
      seen = &value;
      const auto matches = wanted.value.found_in(value, deadline);
      if (!matches)
        return undecided(fmt::format("the header {}", printable(wanted.name, 60)), matches.error());
      if ((found = *matches)) break;
    }
    if (found) continue;
    const std::string instead = seen != nullptr
                                    ? fmt::format("is '{}', which does not match", printable(*seen, 80))
                                    : "is missing, expected";
    return Objection{
        "header", fmt::format(", but the header {} {} '{}'", wanted.name, instead, wanted.value.pattern())};
  }
  return std::nullopt;
}

std::optional<HttpCheck::Objection> HttpCheck::judge_body(const HttpResponse& response,
                                                          const Deadline& deadline) const {
  if (!expect_.json && expect_.body.empty()) return std::nullopt;
  if (response.body_cut)
    return Objection{"too-large", fmt::format(", but its body is longer than {}",
                                              format_size(client_.settings().max_body))};
  for (const auto& wanted : expect_.body) {
    const auto matches = wanted.found_in(response.body, deadline);
    if (!matches)
      return undecided(fmt::format("its body of {} bytes", response.body.size()), matches.error());
    if (!*matches)
      return Objection{"body", fmt::format(", but its body of {} bytes does not match '{}'",
                                           response.body.size(), printable(wanted.pattern(), 80))};
  }
  return std::nullopt;
}

std::optional<HttpCheck::Objection> HttpCheck::judge_json(const HttpResponse& response,
                                                          const Deadline& deadline, Numbers& numbers) const {
  if (!expect_.json || response.body_cut) return std::nullopt;
  auto judged = expect_.json->check(response.body, deadline);
  if (!judged)
    return Objection{std::string(reason_of(judged.error(), "memory")), ", but " + judged.error().text()};
  numbers = std::move(judged->numbers);
  if (judged->problem.empty()) return std::nullopt;
  return Objection{"json", ", but " + judged->problem};
}

std::optional<HttpCheck::Objection> HttpCheck::judge_latency(const HttpResponse& response) const {
  if (!expect_.max_latency || response.latency <= *expect_.max_latency) return std::nullopt;
  return Objection{"latency", fmt::format(", but after {}, more than {}", format_duration(response.latency),
                                          format_duration(*expect_.max_latency))};
}

Result<HttpRequest> read_http_request(const Values& values, std::string_view url_key) {
  HttpRequest request;
  const auto take = [](auto& to, auto value) -> Result<void> {
    if (!value) return forward_error(value);
    to = std::move(*value);
    return {};
  };
  const auto text = [&](std::string& to, std::string_view key) { return take(to, values.text(key)); };
  auto taken =
      take(request.url, values.parsed(url_key, parse_url, Url{}, quote_for_url))
          .and_then([&] { return text(request.method, "method"); })
          .and_then([&] { return take(request.headers, values.texts("header")); })
          .and_then([&] { return take(request.bearer_file, values.secret_file("bearer")); })
          .and_then([&] { return text(request.ca_file, "cacert"); })
          .and_then([&] { return text(request.certificate_file, "cert"); })
          .and_then([&] { return text(request.key_file, "key"); })
          .and_then([&] { return take(request.insecure, values.parsed("insecure", parse_boolean, false)); })
          .and_then([&] { return text(request.unix_socket, "unix-socket"); })
          .and_then([&] { return take(request.follow, values.parsed("location", parse_boolean, false)); })
          .and_then([&] {
            return take(request.max_body, values.parsed("max-body", parse_size, default_max_body));
          });
  if (!taken) return forward_error(taken);
  if (values.has("data")) {
    auto data = values.text("data");
    if (!data) return forward_error(data);
    request.data = std::move(*data);
  }
  return request;
}

namespace {

std::shared_ptr<JqFilters> start_filters(const Values& values, std::vector<std::string> filters,
                                         std::uint64_t max_body, const UserPtr& user) {
  const CheckContext& context = values.context();
  auto tell = [report = context.on_late_error, place = values.place("expect-json")](const Error& error) {
    if (report) report(Error{place, "expect-json: " + error.text(), make_error_code(Outcome::bad_config)});
  };
  return JqFilters::start(std::move(filters), {{"app", context.app}, {"release", context.release}},
                          std::move(tell), max_body, user);
}

Result<HttpExpectations> read_expectations(const Values& values, std::uint64_t max_body,
                                           const UserPtr& user) {
  HttpExpectations expect;
  auto status = values.parsed("expect-status", StatusRanges::parse, StatusRanges::success());
  if (!status) return forward_error(status);
  expect.status = std::move(*status);
  auto headers = values.all_parsed("expect-header", HttpExpectations::parse_header, quote_for_regex);
  if (!headers) return forward_error(headers);
  expect.headers = std::move(*headers);
  auto body = values.all_parsed("expect-body", Regex::compile, quote_for_regex);
  if (!body) return forward_error(body);
  expect.body = std::move(*body);
  if (values.has("max-latency")) {
    auto latency = values.parsed("max-latency", parse_duration, Duration{});
    if (!latency) return forward_error(latency);
    expect.max_latency = *latency;
  }
  auto filters = values.texts("expect-json", quote_for_json);
  if (!filters) return forward_error(filters);
  if (!filters->empty()) expect.json = start_filters(values, std::move(*filters), max_body, user);
  return expect;
}

} // namespace

Result<std::shared_ptr<Check>> make_http_check(const Values& values) {
  // That it is missing is no fault of the configuration, as which the URL's own error would be told.
  if (auto loaded = load_http(); !loaded) return forward_error(loaded);
  auto request = read_http_request(values, "http");
  if (!request) return forward_error(request);
  const UserPtr user = needs_no_rights(*request) ? values.context().unprivileged : nullptr;
  auto expectations = read_expectations(values, request->max_body, user);
  if (!expectations) return forward_error(expectations);
  auto check = HttpCheck::create(std::move(*request), std::move(*expectations), values.context().identity);
  if (!check) return values.wrong("http", check.error());
  (*check)->ask_as(user);
  return std::move(*check);
}

} // namespace safe_deploy
