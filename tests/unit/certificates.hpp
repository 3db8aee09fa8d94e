#pragma once

#include "fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

// Certificates as a test wants them, and a server that shows one.
namespace safe_deploy::test {

using CertificateOwner = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyOwner = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

struct Made {
  CertificateOwner certificate{nullptr, X509_free};
  KeyOwner key{nullptr, EVP_PKEY_free};
};

struct Wanted {
  std::string common_name = "localhost"; // empty: none
  std::string alternative = "";          // "DNS:a,IP:127.0.0.1"
  long from = -3600;                     // seconds from now
  long until = 60L * 86400;
  const Made* issuer = nullptr; // nullptr: itself
  bool authority = false;
};

inline void add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) throw std::runtime_error("extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

inline Made make_certificate(const Wanted& wanted = {}) {
  static long serial = 1;
  Made made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.certificate.reset(X509_new());
  X509* certificate = made.certificate.get();
  if (!made.key || certificate == nullptr) throw std::runtime_error("certificate");
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wanted.from);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.until);
  if (!wanted.common_name.empty())
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wanted.common_name.data()),
                               static_cast<int>(wanted.common_name.size()), -1, 0);
  const Made& issuer = wanted.issuer != nullptr ? *wanted.issuer : made;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
  X509_set_pubkey(certificate, made.key.get());
  add_extension(certificate, NID_basic_constraints, wanted.authority ? "critical,CA:TRUE" : "CA:FALSE");
  if (!wanted.alternative.empty()) add_extension(certificate, NID_subject_alt_name, wanted.alternative);
  if (X509_sign(certificate, issuer.key.get(), EVP_sha256()) == 0) throw std::runtime_error("sign");
  return made;
}

inline std::string written(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
  if (write(bio.get()) != 1) throw std::runtime_error("write");
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

inline std::string pem(const Made& made) {
  return written([&](BIO* bio) { return PEM_write_bio_X509(bio, made.certificate.get()); });
}
inline std::string der(const Made& made) {
  return written([&](BIO* bio) { return i2d_X509_bio(bio, made.certificate.get()); });
}
inline std::string pem_of_key(const Made& made) {
  return written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

// Shows a certificate to whoever comes, one after the other, on a port of 127.0.0.1 that the kernel chooses.
class TlsServer {
 public:
  enum class Client { any, certified };

  // Certified: with a certificate, of whomever, and no TLS but 1.2.
  explicit TlsServer(const Made& made, const Made* intermediate = nullptr, Client client = Client::any)
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
    if (SSL_CTX_use_certificate(context_.get(), made.certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context_.get(), made.key.get()) != 1)
      throw std::runtime_error("server's certificate");
    if (intermediate != nullptr &&
        SSL_CTX_add1_chain_cert(context_.get(), intermediate->certificate.get()) != 1)
      throw std::runtime_error("chain");
    if (client == Client::certified) {
      SSL_CTX_set_max_proto_version(context_.get(), TLS1_2_VERSION);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                         [](int, X509_STORE_CTX*) { return 1; });
    }
    SSL_CTX_set_tlsext_servername_callback(context_.get(), note_name);
    SSL_CTX_set_tlsext_servername_arg(context_.get(), this);
    listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_.get(), generic, length) != 0 || listen(listener_.get(), 16) != 0 ||
        getsockname(listener_.get(), generic, &length) != 0)
      throw std::runtime_error("bind");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  ~TlsServer() {
    (void)shutdown(listener_.get(), SHUT_RDWR); // ends accept(2)
    thread_.join();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

  // The name that the last client asked for; to be read when it has been answered.
  [[nodiscard]] std::string asked_name() {
    (void)shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    thread_ = std::thread([] {});
    return asked_name_;
  }

 private:
  static int note_name(SSL* session, int*, void* self) {
    const char* name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
    static_cast<TlsServer*>(self)->asked_name_ = name != nullptr ? name : "";
    return SSL_TLSEXT_ERR_OK;
  }

  void serve() {
    sigset_t pipe; // of a client that does not wait for all that is said
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (;;) {
      const Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) return;
      const std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(context_.get()), SSL_free);
      SSL_set_fd(session.get(), client.get());
      char byte = 0;
      if (SSL_accept(session.get()) != 1) continue;
      // Until it says goodbye, unless it speaks HTTP.
      if (SSL_read(session.get(), &byte, 1) != 1) continue;
      constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      (void)SSL_write(session.get(), answer.data(), static_cast<int>(answer.size()));
      while (SSL_read(session.get(), &byte, 1) == 1) {
      }
    }
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  Fd listener_;
  std::uint16_t port_ = 0;
  std::string asked_name_;
  std::thread thread_;
};

} // namespace safe_deploy::test
