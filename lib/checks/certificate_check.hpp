#pragma once

#include "certificate.hpp"
#include "check.hpp"
#include "checks/connector.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "read_apart.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// Whether certificates are valid now and stay so for a while. Reasons: "expired", "not-yet-valid", "expires"
// (too soon); its figure is "valid-for", the seconds until the first of them expires. `where` begins the
// sentence; there is at least one certificate.
Answer judge_validity(std::string_view where, const std::vector<Certificate>& certificates,
                      Duration valid_for,
                      std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

// The certificates in a file, all of them: what a server shows is as good as the first that expires. Reasons:
// those of judge_validity(), "unreadable", "timeout", "not-a-certificate"; "openssl" where there is none.
class CertificateFileCheck final : public Check {
 public:
  CertificateFileCheck(std::string path, Duration valid_for)
      : path_(std::move(path)), valid_for_(valid_for) {}

  Answer ask(const Deadline& deadline) override;

 private:
  std::string path_;
  Duration valid_for_;
  FileApart files_ = {};
};

struct CertificateDemands {
  Duration valid_for = std::chrono::hours(14 * 24);
  std::string server_name = {}; // a name, or an address
  std::string authorities = {}; // the path of a file with those who are trusted; empty: the system's
  bool insecure = false;        // only the dates matter
};

// The certificate that a server shows. Reasons: those of judge_validity() and of Connector, "name",
// "untrusted", "tls", "unreadable" (the authorities), "openssl".
class CertificateServerCheck final : public Check {
 public:
  CertificateServerCheck(Target target, CertificateDemands demands)
      : connector_(std::move(target)), demands_(std::move(demands)) {}

  Answer ask(const Deadline& deadline) override;
  [[nodiscard]] std::shared_ptr<Check> gate() override;

 private:
  Connector connector_;
  CertificateDemands demands_;
  FileApart files_ = {};
};

// certificate = PATH or HOST:PORT and its further keys (safe-deploy.conf(5)).
inline constexpr KindKey certificate_keys[] = {
    {"certificate", judge::certificate_place},
    {.name = "valid-for", .judge = judge::positive_duration, .otherwise = "14d"},
    {"server-name", judge::host},
    {"cacert", judge::absolute_path},
    {.name = "insecure", .judge = judge::yes_or_no, .otherwise = "no"},
};
inline constexpr Explanation certificate_explained{
    "A certificate ends at a known second, and all clients turn away from then on: it is to be renewed "
    "before.",
    "Renew it ('certbot renew', say) and have the server read it anew; 'openssl x509 -noout -subject -dates "
    "-in FILE' shows what a file holds."};
Result<std::shared_ptr<Check>> make_certificate_check(const Values& values);

} // namespace safe_deploy
