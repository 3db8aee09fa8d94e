#pragma once

#include "certificate.hpp"
#include "error.hpp"
#include "openssl.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

// Certificates as OpenSSL has them.
namespace safe_deploy {

using X509Owner = std::unique_ptr<X509, decltype(&::X509_free)>;
using BioOwner = std::unique_ptr<BIO, decltype(&::BIO_free_all)>;

// All certificates of a file's content: PEM, where what else is in it is passed over, or one in DER. At least
// one. Outcome::no with what it holds instead.
Result<std::vector<X509Owner>> parse_certificates(const OpenSsl& library, std::string_view content);

// Outcome::no where its dates are none.
Result<Certificate> describe(const OpenSsl& library, const X509* certificate);

// Its alternative names of the kind DNS, or else its common name.
std::vector<std::string> names_of(const OpenSsl& library, const X509* certificate);

// For a name or an IP address, by RFC 6125.
bool is_for(const OpenSsl& library, X509* certificate, const std::string& host);

} // namespace safe_deploy
