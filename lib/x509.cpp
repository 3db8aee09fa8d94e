#include "x509.hpp"

#include "address.hpp"
#include "name.hpp"

#include <fmt/format.h>

#include <optional>

namespace safe_deploy {

namespace {

constexpr std::string_view pem_begin = "-----BEGIN ";

std::string utf8(const OpenSsl& library, const ASN1_STRING* text) {
  unsigned char* bytes = nullptr;
  const int size = library.ASN1_STRING_to_UTF8(&bytes, text);
  if (size < 0) return {};
  std::string copy(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  library.CRYPTO_free(bytes, "", 0);
  return copy;
}

// The first value of that kind in the subject, or of any kind.
std::string of_subject(const OpenSsl& library, const X509* certificate, std::optional<int> nid) {
  X509_NAME* subject = library.X509_get_subject_name(certificate);
  const int index = nid ? library.X509_NAME_get_index_by_NID(subject, *nid, -1)
                        : library.X509_NAME_entry_count(subject) - 1;
  if (index < 0) return {};
  return utf8(library, library.X509_NAME_ENTRY_get_data(library.X509_NAME_get_entry(subject, index)));
}

std::vector<std::string> alternative_names(const OpenSsl& library, const X509* certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, decltype(&::GENERAL_NAMES_free)> all(
      static_cast<GENERAL_NAMES*>(
          library.X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      library.GENERAL_NAMES_free);
  const auto* stack = reinterpret_cast<const OPENSSL_STACK*>(all.get());
  for (int i = 0; all && i < library.OPENSSL_sk_num(stack); ++i) {
    const auto* name = static_cast<const GENERAL_NAME*>(library.OPENSSL_sk_value(stack, i));
    if (name->type == GEN_DNS) names.push_back(utf8(library, name->d.dNSName));
  }
  return names;
}

Result<std::chrono::sys_seconds> time_of(const OpenSsl& library, const ASN1_TIME* time) {
  std::tm parts{};
  if (library.ASN1_TIME_to_tm(time, &parts) != 1)
    return fail(Outcome::no, "the certificate", "has a date that is none");
  // Not by timegm(3): where time_t has 32 bits it ends in 2038.
  const std::chrono::year_month_day day{std::chrono::year(parts.tm_year + 1900),
                                        std::chrono::month(static_cast<unsigned>(parts.tm_mon) + 1),
                                        std::chrono::day(static_cast<unsigned>(parts.tm_mday))};
  return std::chrono::sys_days(day) + std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
         std::chrono::seconds(parts.tm_sec);
}

// "a PRIVATE KEY" and the like: the first label of a PEM file (RFC 7468).
std::string held_instead(std::string_view content) {
  const std::size_t begin = content.find(pem_begin);
  if (begin == std::string_view::npos) return "it is neither PEM nor DER";
  const std::string_view label = content.substr(begin + pem_begin.size());
  return fmt::format("it holds a {}", printable(label.substr(0, label.find_first_of("-\r\n")), 60));
}

// Nobody is to be asked for a passphrase, which OpenSSL does on the terminal if it is not told otherwise.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

} // namespace

Result<std::vector<X509Owner>> parse_certificates(const OpenSsl& library, std::string_view content) {
  library.ERR_clear_error();
  std::vector<X509Owner> all;
  const auto keep = [&](X509* certificate) {
    if (certificate != nullptr) all.emplace_back(certificate, library.X509_free);
    return certificate != nullptr;
  };
  if (content.find(pem_begin) == std::string_view::npos) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(content.data());
    if (keep(library.d2i_X509(nullptr, &bytes, static_cast<long>(content.size())))) return all;
    return fail(Outcome::no, "no certificate", held_instead(content));
  }
  const BioOwner text(library.BIO_new_mem_buf(content.data(), static_cast<int>(content.size())),
                      library.BIO_free_all);
  if (!text) return fail(Outcome::no, "no certificate", library.last_error());
  while (keep(library.PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr))) {
  }
  // "No start line" is how the end of the file looks.
  const unsigned long error = library.ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!at_end)
    return fail(Outcome::no, fmt::format("certificate {}", all.size() + 1),
                fmt::format("cannot be read ({})", library.last_error()));
  if (all.empty()) return fail(Outcome::no, "no certificate", held_instead(content));
  return all;
}

Result<Certificate> describe(const OpenSsl& library, const X509* certificate) {
  auto not_before = time_of(library, library.X509_get0_notBefore(certificate));
  if (!not_before) return forward_error(not_before);
  auto not_after = time_of(library, library.X509_get0_notAfter(certificate));
  if (!not_after) return forward_error(not_after);
  std::string subject = of_subject(library, certificate, NID_commonName);
  if (subject.empty())
    if (auto names = alternative_names(library, certificate); !names.empty())
      subject = std::move(names.front());
  if (subject.empty()) subject = of_subject(library, certificate, std::nullopt);
  if (subject.empty()) subject = "a certificate without a name";
  return Certificate{std::move(subject), *not_before, *not_after};
}

std::vector<std::string> names_of(const OpenSsl& library, const X509* certificate) {
  auto names = alternative_names(library, certificate);
  if (!names.empty()) return names;
  std::string common = of_subject(library, certificate, NID_commonName);
  if (!common.empty()) names.push_back(std::move(common));
  return names;
}

bool is_for(const OpenSsl& library, X509* certificate, const std::string& host) {
  if (parse_address(host)) return library.X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
  return library.X509_check_host(certificate, host.data(), host.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                                 nullptr) == 1;
}

} // namespace safe_deploy
