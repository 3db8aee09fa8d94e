#include "openssl.hpp"

#include <dlfcn.h>

namespace safe_deploy {

namespace {

// A library of OpenSSL's, of the version whose headers this was compiled with.
class Opened {
 public:
  // Never closed: it keeps what it made for each thread, and is used until the end.
  explicit Opened(const char* name)
      : name_(std::string(name) + ".so." + std::to_string(OPENSSL_SHLIB_VERSION)),
        handle_(dlopen(name_.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) problem_ = dlerror();
  }

  template <class Function>
  void find(Function& function, const char* symbol) {
    if (!problem_.empty()) return;
    function = reinterpret_cast<Function>(dlsym(handle_, symbol));
    if (function == nullptr) problem_ = std::string("it has no ") + symbol;
  }

  [[nodiscard]] Result<void> result() const {
    if (problem_.empty()) return {};
    return fail(Outcome::no, name_, "cannot be loaded: " + problem_);
  }

 private:
  std::string name_;
  void* handle_;
  std::string problem_ = {};
};

Result<OpenSsl> load() {
  OpenSsl table{};
  Opened crypto("libcrypto");
  crypto.find(table.OPENSSL_init_crypto, "OPENSSL_init_crypto");
  crypto.find(table.OPENSSL_sk_num, "OPENSSL_sk_num");
  crypto.find(table.OPENSSL_sk_value, "OPENSSL_sk_value");
  crypto.find(table.CRYPTO_free, "CRYPTO_free");
  crypto.find(table.ERR_clear_error, "ERR_clear_error");
  crypto.find(table.ERR_peek_error, "ERR_peek_error");
  crypto.find(table.ERR_peek_last_error, "ERR_peek_last_error");
  crypto.find(table.ERR_reason_error_string, "ERR_reason_error_string");
  crypto.find(table.BIO_new, "BIO_new");
  crypto.find(table.BIO_new_mem_buf, "BIO_new_mem_buf");
  crypto.find(table.BIO_s_mem, "BIO_s_mem");
  crypto.find(table.BIO_free_all, "BIO_free_all");
  crypto.find(table.BIO_read, "BIO_read");
  crypto.find(table.BIO_write, "BIO_write");
  crypto.find(table.PEM_read_bio_X509, "PEM_read_bio_X509");
  crypto.find(table.d2i_X509, "d2i_X509");
  crypto.find(table.ASN1_TIME_to_tm, "ASN1_TIME_to_tm");
  crypto.find(table.ASN1_STRING_to_UTF8, "ASN1_STRING_to_UTF8");
  crypto.find(table.GENERAL_NAMES_free, "GENERAL_NAMES_free");
  crypto.find(table.X509_free, "X509_free");
  crypto.find(table.X509_get0_notBefore, "X509_get0_notBefore");
  crypto.find(table.X509_get0_notAfter, "X509_get0_notAfter");
  crypto.find(table.X509_get_subject_name, "X509_get_subject_name");
  crypto.find(table.X509_get_ext_d2i, "X509_get_ext_d2i");
  crypto.find(table.X509_check_host, "X509_check_host");
  crypto.find(table.X509_check_ip_asc, "X509_check_ip_asc");
  crypto.find(table.X509_NAME_get_index_by_NID, "X509_NAME_get_index_by_NID");
  crypto.find(table.X509_NAME_get_entry, "X509_NAME_get_entry");
  crypto.find(table.X509_NAME_entry_count, "X509_NAME_entry_count");
  crypto.find(table.X509_NAME_ENTRY_get_data, "X509_NAME_ENTRY_get_data");
  crypto.find(table.X509_STORE_add_cert, "X509_STORE_add_cert");
  crypto.find(table.X509_STORE_set_flags, "X509_STORE_set_flags");
  crypto.find(table.X509_verify_cert_error_string, "X509_verify_cert_error_string");
  if (auto found = crypto.result(); !found) return forward_error(found);
  Opened ssl("libssl");
  ssl.find(table.TLS_client_method, "TLS_client_method");
  ssl.find(table.SSL_CTX_new, "SSL_CTX_new");
  ssl.find(table.SSL_CTX_free, "SSL_CTX_free");
  ssl.find(table.SSL_CTX_get_cert_store, "SSL_CTX_get_cert_store");
  ssl.find(table.SSL_CTX_set_default_verify_paths, "SSL_CTX_set_default_verify_paths");
  ssl.find(table.SSL_new, "SSL_new");
  ssl.find(table.SSL_free, "SSL_free");
  ssl.find(table.SSL_ctrl, "SSL_ctrl");
  ssl.find(table.SSL_set_bio, "SSL_set_bio");
  ssl.find(table.SSL_connect, "SSL_connect");
  ssl.find(table.SSL_shutdown, "SSL_shutdown");
  ssl.find(table.SSL_get_error, "SSL_get_error");
  ssl.find(table.SSL_get_verify_result, "SSL_get_verify_result");
  ssl.find(table.SSL_get1_peer_certificate, "SSL_get1_peer_certificate");
  ssl.find(table.SSL_CTX_set_cert_cb, "SSL_CTX_set_cert_cb");
  ssl.find(table.SSL_get0_verified_chain, "SSL_get0_verified_chain");
  if (auto found = ssl.result(); !found) return forward_error(found);
  // Not to be torn down when the tool ends: a check that was given up may still be using it then.
  (void)table.OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
  return table;
}

} // namespace

std::string OpenSsl::last_error() const {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != nullptr ? reason : "no reason is given";
}

const Result<OpenSsl>& openssl() {
  static const Result<OpenSsl> loaded = load();
  return loaded;
}

} // namespace safe_deploy
