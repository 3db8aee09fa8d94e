#include "checks/certificate_check.hpp"

#include "checks/identity.hpp"
#include "checks/port_check.hpp"
#include "name.hpp"
#include "openssl.hpp"
#include "quantity.hpp"
#include "tls.hpp"
#include "x509.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 20U;

std::string date_of(std::chrono::sys_seconds time) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
  return fmt::format("{}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

// "37d", "9d 23h": from ten days on the hours are of no interest.
std::string span_of(std::chrono::seconds span) {
  const auto days = std::chrono::floor<std::chrono::days>(span);
  return format_duration(days.count() >= 10 ? Duration(days) : Duration(span));
}

std::string subject_of(const Certificate& certificate, std::size_t of) {
  const std::string subject = printable(certificate.subject, 100);
  return of == 1 ? subject : fmt::format("{} (of {} certificates)", subject, of);
}

Answer cannot_read(const Error& error) {
  const std::string sentence = printable(error.text(), 400);
  if (error.outcome() == Outcome::timed_out) return Answer::no("timeout", sentence);
  return is_not_permitted(error) || is_out_of_resources(error) ? Answer::skipped("unreadable", sentence)
                                                               : Answer::no("unreadable", sentence);
}

Answer no_openssl(const Error& error) {
  return Answer::skipped("openssl", error.text());
}

} // namespace

Answer judge_validity(std::string_view where, const std::vector<Certificate>& certificates,
                      Duration valid_for, std::chrono::system_clock::time_point now) {
  const Certificate& first =
      *std::min_element(certificates.begin(), certificates.end(),
                        [](const Certificate& a, const Certificate& b) { return a.not_after < b.not_after; });
  const Certificate& last = *std::max_element(
      certificates.begin(), certificates.end(),
      [](const Certificate& a, const Certificate& b) { return a.not_before < b.not_before; });
  const auto today = std::chrono::floor<std::chrono::seconds>(now);
  const std::chrono::seconds left = first.not_after - today;
  const std::string until = date_of(first.not_after);
  const auto about = [&](const Certificate& certificate) {
    return fmt::format("{}: {}", where, subject_of(certificate, certificates.size()));
  };
  Answer answer;
  if (left < std::chrono::seconds::zero())
    answer =
        Answer::no("expired", fmt::format("{} expired on {}, {} ago", about(first), until, span_of(-left)));
  else if (last.not_before > today)
    answer =
        Answer::no("not-yet-valid", fmt::format("{} is not valid before {}, in {}", about(last),
                                                date_of(last.not_before), span_of(last.not_before - today)));
  else if (left < valid_for)
    answer = Answer::no("expires", fmt::format("{} expires on {}, in {}: less than {}", about(first), until,
                                               span_of(left), format_duration(valid_for)));
  else
    answer = Answer::yes(fmt::format("{} valid until {} (in {})", about(first), until, span_of(left)));
  answer.figures = {{"valid-for", static_cast<double>(left.count()), "s"}};
  return answer;
}

Answer CertificateFileCheck::ask(const Deadline& deadline) {
  const auto& library = openssl();
  if (!library) return no_openssl(library.error());
  const std::string where = printable(path_);
  const auto content = files_.read(path_, most_bytes, deadline);
  if (!content) return cannot_read(content.error());
  const auto parsed = parse_certificates(*library, *content);
  if (!parsed) return Answer::no("not-a-certificate", fmt::format("{}: {}", where, parsed.error().text()));
  std::vector<Certificate> certificates;
  for (const auto& one : *parsed) {
    auto described = describe(*library, one.get());
    if (!described)
      return Answer::no("not-a-certificate", fmt::format("{}: {}", where, described.error().text()));
    certificates.push_back(std::move(*described));
  }
  return judge_validity(where, certificates, valid_for_);
}

namespace {

Answer judge_server(const TlsServer& server, const CertificateDemands& demands, const std::string& where) {
  const auto& certificates = server.certificates;
  Answer answer = judge_validity(where, {certificates.front()}, demands.valid_for);
  if (answer.reason == "expired" || answer.reason == "not-yet-valid") return answer;
  const auto wrong = [&](std::string reason, const std::string& what) {
    Answer no = Answer::no(std::move(reason), fmt::format("{}: {}", where, what));
    no.figures = answer.figures;
    return no;
  };
  if (!server.name_matches)
    return wrong("name", fmt::format("the certificate is for {}, not for {}",
                                     server.names.empty()
                                         ? "no host"
                                         : printable(fmt::format("{}", fmt::join(server.names, ", ")), 200),
                                     printable(demands.server_name)));
  if (!server.untrusted.empty())
    return wrong("untrusted", fmt::format("the certificate of {} is not trusted: {}",
                                          printable(certificates.front().subject, 100), server.untrusted));
  return judge_validity(where, certificates, demands.valid_for);
}

} // namespace

std::shared_ptr<Check> CertificateServerCheck::gate() {
  return make_listener_gate(connector_.target(), nullptr);
}

Answer CertificateServerCheck::ask(const Deadline& deadline) {
  const auto& library = openssl();
  if (!library) return no_openssl(library.error());
  TlsQuestion question{.server_name = demands_.server_name, .insecure = demands_.insecure};
  if (!demands_.authorities.empty()) {
    auto authorities = files_.read(demands_.authorities, most_bytes, deadline);
    if (!authorities) return cannot_read(authorities.error());
    question.authorities = std::move(*authorities);
  }
  const auto connection = connector_.connect(deadline);
  if (!connection) return connection.error();
  const std::string where = printable(port_label(connector_.target()));
  const auto server = ask_tls_server(*library, connection->socket.get(), question, deadline);
  if (!server) {
    const TlsFailure& failure = server.error();
    return Answer::no(failure.reason, fmt::format("{}: {}{}", where, failure.what,
                                                  failure.reason == "timeout" ? " " + within(deadline) : ""));
  }
  Answer answer = judge_server(*server, demands_, where);
  if (server->wants_client) answer.sentence += " (it wants a client's certificate)";
  return answer;
}

namespace {

Result<std::string> certificate_place(std::string_view value) {
  if (std::string problem = judge::certificate_place(value); !problem.empty())
    return fail(Outcome::usage, "", std::move(problem));
  return std::string(value);
}

std::string host_of(const Target& target) {
  return target.kind == Target::Kind::address ? target.address.text() : target.name;
}

Result<std::shared_ptr<Check>> make_server_check(const Values& values, const std::string& place,
                                                 Duration valid_for) {
  auto target = parse_stream_target(place);
  if (!target) return values.wrong("certificate", target.error());
  CertificateDemands demands{.valid_for = valid_for};
  auto name = values.text("server-name");
  if (!name) return forward_error(name);
  demands.server_name = name->empty() ? host_of(*target) : std::move(*name);
  if (demands.server_name.ends_with('.')) demands.server_name.pop_back(); // it is in no certificate
  auto authorities = values.text("cacert");
  if (!authorities) return forward_error(authorities);
  demands.authorities = std::move(*authorities);
  auto insecure = values.parsed("insecure", parse_boolean, false);
  if (!insecure) return forward_error(insecure);
  demands.insecure = *insecure;
  const bool needs_no_rights = demands.authorities.empty() && !target->is_unix();
  auto check = std::make_shared<CertificateServerCheck>(std::move(*target), std::move(demands));
  if (needs_no_rights) check->ask_as(values.context().unprivileged);
  return check;
}

} // namespace

Result<std::shared_ptr<Check>> make_certificate_check(const Values& values) {
  auto place = values.parsed("certificate", certificate_place, std::string());
  if (!place) return forward_error(place);
  auto valid_for = values.parsed("valid-for", parse_duration, CertificateDemands().valid_for);
  if (!valid_for) return forward_error(valid_for);
  if (!place->starts_with('/')) return make_server_check(values, *place, *valid_for);
  for (const std::string_view key : {"server-name", "cacert", "insecure"})
    if (values.has(key))
      return values.wrong(
          key, {"", "is of use for HOST:PORT only, not for a file", make_error_code(Outcome::bad_config)});
  return std::make_shared<CertificateFileCheck>(std::move(*place), *valid_for);
}

} // namespace safe_deploy
