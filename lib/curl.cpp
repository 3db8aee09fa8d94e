#include "curl.hpp"

#include "name.hpp"

#include <dlfcn.h>

namespace safe_deploy {

namespace {

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

tl::unexpected<Error> cannot() {
  const char* why = dlerror();
  return fail(Outcome::os_error, "libcurl", "cannot be loaded: " + printable(why != nullptr ? why : ""));
}

// Never unloaded: OpenSSL would be, too, which it does not survive in the middle of a process.
Result<Curl> open_curl() {
  void* const library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return cannot();
  Curl curl{};
  const bool found =
      find(library, "curl_global_init", curl.global_init) && find(library, "curl_free", curl.free) &&
      find(library, "curl_slist_append", curl.slist_append) &&
      find(library, "curl_slist_free_all", curl.slist_free_all) && find(library, "curl_url", curl.url) &&
      find(library, "curl_url_set", curl.url_set) && find(library, "curl_url_get", curl.url_get) &&
      find(library, "curl_url_cleanup", curl.url_cleanup) &&
      find(library, "curl_easy_init", curl.easy_init) &&
      find(library, "curl_easy_setopt", curl.easy_setopt) &&
      find(library, "curl_easy_perform", curl.easy_perform) &&
      find(library, "curl_easy_getinfo", curl.easy_getinfo) &&
      find(library, "curl_easy_strerror", curl.easy_strerror) &&
      find(library, "curl_easy_cleanup", curl.easy_cleanup);
  if (!found) return cannot();
  // Costs 1 ms, for OpenSSL; the flag that once left that out has had no meaning since 7.57.
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(Outcome::os_error, "libcurl", "cannot start");
  return curl;
}

} // namespace

const Result<Curl>& Curl::load() {
  static const Result<Curl> curl = open_curl(); // must not run twice at the same time (curl_global_init(3))
  return curl;
}

} // namespace safe_deploy
