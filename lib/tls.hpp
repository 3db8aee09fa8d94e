#pragma once

#include "certificate.hpp"
#include "deadline.hpp"
#include "openssl.hpp"

#include <tl/expected.hpp>

#include <string>
#include <vector>

// TLS, as far as it is needed to see what certificate a server shows.
namespace safe_deploy {

struct TlsQuestion {
  std::string server_name;   // a name or an address: what the certificate must be for
  std::string authorities{}; // PEM: who is trusted instead of the system's
  bool insecure = false;     // neither trust nor name matters
};

struct TlsServer {
  // First its own, then, where it is trusted, the others of the chain up to the authority.
  std::vector<Certificate> certificates;
  std::vector<std::string> names; // that its own one is for
  bool name_matches = false;
  std::string untrusted = {}; // why it is not trusted, in OpenSSL's words; empty if it is
  bool wants_client = false;  // it ended the handshake for want of a client's certificate
};

struct TlsFailure {
  std::string reason; // "tls", "timeout"
  std::string what;
};

// Shakes hands over a connected, non-blocking socket, and says goodbye.
tl::expected<TlsServer, TlsFailure> ask_tls_server(const OpenSsl& library, int socket,
                                                   const TlsQuestion& question, const Deadline& deadline);

} // namespace safe_deploy
