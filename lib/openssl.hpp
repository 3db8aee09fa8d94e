#pragma once

#include "error.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <string>

namespace safe_deploy {

// The functions of OpenSSL that are used. It is not linked but opened by the first check that needs it: to
// load it costs every run of a tool more than all else that the tool does.
struct OpenSsl {
  decltype(&::OPENSSL_init_crypto) OPENSSL_init_crypto;
  decltype(&::OPENSSL_sk_num) OPENSSL_sk_num;
  decltype(&::OPENSSL_sk_value) OPENSSL_sk_value;
  decltype(&::CRYPTO_free) CRYPTO_free;
  decltype(&::ERR_clear_error) ERR_clear_error;
  decltype(&::ERR_peek_error) ERR_peek_error;
  decltype(&::ERR_peek_last_error) ERR_peek_last_error;
  decltype(&::ERR_reason_error_string) ERR_reason_error_string;
  decltype(&::BIO_new) BIO_new;
  decltype(&::BIO_new_mem_buf) BIO_new_mem_buf;
  decltype(&::BIO_s_mem) BIO_s_mem;
  decltype(&::BIO_free_all) BIO_free_all;
  decltype(&::BIO_read) BIO_read;
  decltype(&::BIO_write) BIO_write;
  decltype(&::PEM_read_bio_X509) PEM_read_bio_X509;
  decltype(&::d2i_X509) d2i_X509;
  decltype(&::ASN1_TIME_to_tm) ASN1_TIME_to_tm;
  decltype(&::ASN1_STRING_to_UTF8) ASN1_STRING_to_UTF8;
  decltype(&::GENERAL_NAMES_free) GENERAL_NAMES_free;
  decltype(&::X509_free) X509_free;
  decltype(&::X509_get0_notBefore) X509_get0_notBefore;
  decltype(&::X509_get0_notAfter) X509_get0_notAfter;
  decltype(&::X509_get_subject_name) X509_get_subject_name;
  decltype(&::X509_get_ext_d2i) X509_get_ext_d2i;
  decltype(&::X509_check_host) X509_check_host;
  decltype(&::X509_check_ip_asc) X509_check_ip_asc;
  decltype(&::X509_NAME_get_index_by_NID) X509_NAME_get_index_by_NID;
  decltype(&::X509_NAME_get_entry) X509_NAME_get_entry;
  decltype(&::X509_NAME_entry_count) X509_NAME_entry_count;
  decltype(&::X509_NAME_ENTRY_get_data) X509_NAME_ENTRY_get_data;
  decltype(&::X509_STORE_add_cert) X509_STORE_add_cert;
  decltype(&::X509_STORE_set_flags) X509_STORE_set_flags;
  decltype(&::X509_verify_cert_error_string) X509_verify_cert_error_string;
  decltype(&::TLS_client_method) TLS_client_method;
  decltype(&::SSL_CTX_new) SSL_CTX_new;
  decltype(&::SSL_CTX_free) SSL_CTX_free;
  decltype(&::SSL_CTX_get_cert_store) SSL_CTX_get_cert_store;
  decltype(&::SSL_CTX_set_cert_cb) SSL_CTX_set_cert_cb;
  decltype(&::SSL_CTX_set_default_verify_paths) SSL_CTX_set_default_verify_paths;
  decltype(&::SSL_new) SSL_new;
  decltype(&::SSL_free) SSL_free;
  decltype(&::SSL_ctrl) SSL_ctrl;
  decltype(&::SSL_set_bio) SSL_set_bio;
  decltype(&::SSL_connect) SSL_connect;
  decltype(&::SSL_shutdown) SSL_shutdown;
  decltype(&::SSL_get_error) SSL_get_error;
  decltype(&::SSL_get_verify_result) SSL_get_verify_result;
  decltype(&::SSL_get1_peer_certificate) SSL_get1_peer_certificate;
  decltype(&::SSL_get0_verified_chain) SSL_get0_verified_chain;

  // Of this thread: why the last call failed, in OpenSSL's words.
  [[nodiscard]] std::string last_error() const;
};

// Opened at the first call. Outcome::no where it cannot be opened.
const Result<OpenSsl>& openssl();

} // namespace safe_deploy
