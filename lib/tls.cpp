#include "tls.hpp"

#include "address.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "reach.hpp"
#include "x509.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace safe_deploy {

namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)>;
using Session = std::unique_ptr<SSL, decltype(&::SSL_free)>;

// What a server may say before the handshake is done. OpenSSL takes chains of up to 100 kB.
constexpr std::size_t most_received = std::size_t{256} << 10U;

// OpenSSL gets its bytes from memory, not from the socket: it would write without MSG_NOSIGNAL, and read
// without end.
class Handshake {
 public:
  Handshake(const OpenSsl& library, int socket, Session session)
      : library_(library), socket_(socket), session_(std::move(session)) {}

  [[nodiscard]] SSL* session() const { return session_.get(); }

  std::optional<TlsFailure> run(const Deadline& deadline);
  void say_goodbye();

 private:
  [[nodiscard]] bool begin();
  std::optional<TlsFailure> send_all(const Deadline& deadline);
  std::optional<TlsFailure> receive(const Deadline& deadline);
  bool take_unsent();
  static TlsFailure late() { return {"timeout", "connected, but no agreement on TLS"}; }
  static TlsFailure broken(int error_number) {
    return {"tls",
            fmt::format("the connection broke during the TLS handshake ({})", std::strerror(error_number))};
  }

  const OpenSsl& library_;
  int socket_;
  Session session_;
  BIO* incoming_ = nullptr; // both are the session's
  BIO* outgoing_ = nullptr;
  std::string unsent_ = {};
  std::size_t received_ = 0;
};

bool Handshake::begin() {
  BioOwner incoming(library_.BIO_new(library_.BIO_s_mem()), library_.BIO_free_all);
  BioOwner outgoing(library_.BIO_new(library_.BIO_s_mem()), library_.BIO_free_all);
  if (!incoming || !outgoing) return false;
  incoming_ = incoming.release();
  outgoing_ = outgoing.release();
  library_.SSL_set_bio(session(), incoming_, outgoing_);
  return true;
}

bool Handshake::take_unsent() {
  std::array<char, 4096> buffer;
  for (;;) {
    const int got = library_.BIO_read(outgoing_, buffer.data(), static_cast<int>(buffer.size()));
    if (got <= 0) return !unsent_.empty();
    unsent_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::optional<TlsFailure> Handshake::send_all(const Deadline& deadline) {
  while (take_unsent()) {
    const ssize_t sent = send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      unsent_.erase(0, static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return broken(errno);
    if (!await_events(socket_, POLLOUT, deadline)) return late();
  }
  return std::nullopt;
}

std::optional<TlsFailure> Handshake::receive(const Deadline& deadline) {
  std::array<char, 16384> buffer;
  for (;;) {
    if (deadline.has_passed() || !await_events(socket_, POLLIN, deadline)) return late();
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) return broken(errno);
    if (got == 0) return TlsFailure{"tls", "it closed the connection during the TLS handshake"};
    received_ += static_cast<std::size_t>(got);
    if (received_ > most_received)
      return TlsFailure{"tls", fmt::format("the TLS handshake does not end ({} and more came)",
                                           format_size(most_received))};
    if (library_.BIO_write(incoming_, buffer.data(), static_cast<int>(got)) != got)
      return TlsFailure{"tls", "TLS: " + library_.last_error()};
    return std::nullopt;
  }
}

std::optional<TlsFailure> Handshake::run(const Deadline& deadline) {
  if (!begin()) return TlsFailure{"tls", "TLS: " + library_.last_error()};
  for (;;) {
    library_.ERR_clear_error();
    const int result = library_.SSL_connect(session());
    const int state = library_.SSL_get_error(session(), result);
    const std::string why = library_.last_error();
    if (auto failure = send_all(deadline); failure && (result == 1 || state == SSL_ERROR_WANT_READ))
      return failure;
    if (result == 1) return std::nullopt;
    if (state != SSL_ERROR_WANT_READ && why.find("wrong version number") != std::string::npos)
      return TlsFailure{"tls", fmt::format("the server does not speak TLS ({})", printable(why))};
    if (state != SSL_ERROR_WANT_READ) return TlsFailure{"tls", "no agreement on TLS: " + printable(why)};
    if (auto failure = receive(deadline)) return failure;
  }
}

void Handshake::say_goodbye() {
  library_.ERR_clear_error();
  (void)library_.SSL_shutdown(session());
  if (take_unsent()) (void)send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
  library_.ERR_clear_error();
}

// Who is trusted. A certificate that stands in the file is trusted as such, also where it is no root, as with
// curl.
std::optional<TlsFailure> trust(const OpenSsl& library, SSL_CTX* context, const std::string& authorities) {
  if (authorities.empty()) {
    (void)library.SSL_CTX_set_default_verify_paths(context);
    return std::nullopt;
  }
  auto certificates = parse_certificates(library, authorities);
  if (!certificates) return TlsFailure{"unreadable", fmt::format("cacert: {}", certificates.error().text())};
  X509_STORE* store = library.SSL_CTX_get_cert_store(context);
  for (const auto& certificate : *certificates) (void)library.X509_STORE_add_cert(store, certificate.get());
  (void)library.X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return std::nullopt;
}

// SSL_set_tlsext_host_name() is a macro for this. RFC 6066, 3: an address is no server name.
void name_server(const OpenSsl& library, SSL* session, std::string host) {
  if (!parse_address(host))
    (void)library.SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data());
}

tl::expected<TlsServer, TlsFailure> look_at(const OpenSsl& library, SSL* session,
                                            const TlsQuestion& question) {
  const X509Owner own(library.SSL_get1_peer_certificate(session), library.X509_free);
  if (!own) return tl::unexpected(TlsFailure{"tls", "the server shows no certificate"});
  TlsServer server;
  const auto add = [&](const X509* certificate) -> Result<void> {
    auto described = describe(library, certificate);
    if (!described) return forward_error(described);
    server.certificates.push_back(std::move(*described));
    return {};
  };
  if (auto added = add(own.get()); !added)
    return tl::unexpected(TlsFailure{"not-a-certificate", added.error().text()});
  server.names = names_of(library, own.get());
  server.name_matches = question.insecure || is_for(library, own.get(), question.server_name);
  if (question.insecure) return server;
  if (const long fault = library.SSL_get_verify_result(session); fault != X509_V_OK) {
    server.untrusted = library.X509_verify_cert_error_string(fault);
    return server;
  }
  const auto* chain = reinterpret_cast<const OPENSSL_STACK*>(library.SSL_get0_verified_chain(session));
  for (int i = 1; i < library.OPENSSL_sk_num(chain); ++i) // the first one is its own
    (void)add(static_cast<const X509*>(library.OPENSSL_sk_value(chain, i)));
  return server;
}

// Called when the server wants a client's certificate. There is none (SSL_CTX_set_cert_cb(3)).
int note_wanted(SSL*, void* wanted) {
  *static_cast<bool*>(wanted) = true;
  return 1;
}

} // namespace

tl::expected<TlsServer, TlsFailure> ask_tls_server(const OpenSsl& library, int socket,
                                                   const TlsQuestion& question, const Deadline& deadline) {
  library.ERR_clear_error();
  const Context context(library.SSL_CTX_new(library.TLS_client_method()), library.SSL_CTX_free);
  if (!context) return tl::unexpected(TlsFailure{"tls", "TLS: " + library.last_error()});
  if (!question.insecure)
    if (auto failure = trust(library, context.get(), question.authorities))
      return tl::unexpected(std::move(*failure));
  bool wants_client = false;
  library.SSL_CTX_set_cert_cb(context.get(), note_wanted, &wants_client);
  // By default OpenSSL judges the chain of a server, and goes on whatever it finds (SSL_CTX_set_verify(3)).
  Session session(library.SSL_new(context.get()), library.SSL_free);
  if (!session) return tl::unexpected(TlsFailure{"tls", "TLS: " + library.last_error()});
  name_server(library, session.get(), question.server_name);
  Handshake handshake(library, socket, std::move(session));
  auto failure = handshake.run(deadline);
  // With TLS 1.2 it says so in the handshake, when its certificate and the signature that it holds the key
  // have come. With 1.3 it is heard of later than we look.
  if (failure && !(wants_client && failure->reason == "tls")) return tl::unexpected(std::move(*failure));
  auto server = look_at(library, handshake.session(), question);
  if (server) server->wants_client = failure.has_value();
  if (!failure) handshake.say_goodbye();
  return server;
}

} // namespace safe_deploy
