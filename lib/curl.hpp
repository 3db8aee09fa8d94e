#pragma once

#include "error.hpp"

#include <curl/curl.h>

namespace safe_deploy {

// The functions of libcurl that are used. It is loaded when there is a URL to ask, and not at the start of
// every tool that may have one to ask: it brings 35 libraries along, which take 5 ms and several MB.
struct Curl {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_free) free;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_url) url;
  decltype(&::curl_url_set) url_set;
  decltype(&::curl_url_get) url_get;
  decltype(&::curl_url_cleanup) url_cleanup;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_easy_cleanup) easy_cleanup;

  // Loads and starts it, once. Outcome::os_error where that cannot be.
  static const Result<Curl>& load();
};

} // namespace safe_deploy
