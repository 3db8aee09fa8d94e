#pragma once

#include "deadline.hpp"
#include "error.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// One HTTP request over libcurl. Proxies, .netrc and every other setting of the environment are ignored.
namespace safe_deploy {

// What the client needs to know of a URL before anything is asked.
struct Url {
  std::string text;
  std::string scheme; // "http" or "https"
  std::string host;   // without brackets
  std::uint16_t port = 0;

  // For people: without its query, which may hold a secret.
  [[nodiscard]] std::string shown() const;
};

// Loads libcurl, which everything here needs and loads by itself: os_error where that cannot be.
Result<void> load_http();

// Outcome::usage for what is not an http or https URL with a host; the subject is the text, without a
// password.
Result<Url> parse_url(std::string_view text);

inline constexpr std::uint64_t default_max_body = 1024UL * 1024;

struct HttpRequest {
  Url url;
  std::string method = {};               // empty: GET, or POST if there is data
  std::optional<std::string> data = {};  // the request's body
  std::vector<std::string> headers = {}; // "Name: value"
  // Files are read anew for each request.
  std::string bearer_file = {};              // a token
  std::string ca_file = {};                  // PEM; empty: the system's
  std::string certificate_file = {};         // PEM; empty: none
  std::string key_file = {};                 // PEM; empty: in the certificate file
  bool insecure = false;                     // take any certificate
  std::string unix_socket = {};              // connect there instead of the URL's host
  bool follow = false;                       // redirects, at most 10, only to http and https
  std::uint64_t max_body = default_max_body; // bytes of the answer's body that are read
  // Is handed the answer's body in pieces, whatever its status and length, instead of its being kept: the
  // response has none. False: no more of it is wanted.
  std::function<bool(std::string_view piece)> on_body = {};
};

struct HttpResponse {
  long status = 0;
  std::vector<std::pair<std::string, std::string>> headers; // of the last answer, names in lower case
  std::string body;
  bool body_cut = false; // the body is longer than max_body, or than was wanted
  Duration latency{};    // from the first step to the last byte
  // The two ends of the connection; empty and 0 for a unix socket.
  std::string local_address, peer_address;
  std::uint16_t local_port = 0, peer_port = 0;
};

// Why there is no answer.
enum class HttpFault {
  dns,         // the host's name has no address
  refused,     // nothing listens there
  unreachable, // no way to the host
  tls,         // the certificate, or the agreement on how to encrypt
  timeout,     // the deadline passed
  closed,      // the server closed the connection before the answer was complete
  protocol,    // what came is not HTTP
  too_large,   // headers without end
  redirects,   // too many, or to something that is not http
  local,       // something here: a file that cannot be read, no memory
};

// "dns", "refused" ...: stable words for programs.
std::string_view word(HttpFault fault);

struct HttpFailure {
  HttpFault fault;
  std::string sentence;  // what happened, without the URL
  bool answered = false; // somebody was there: connected, at least
  int error_number = 0;  // of `local`, where the operating system refused
};

using HttpResult = std::variant<HttpResponse, HttpFailure>;

// Whether the files that a request needs can be read now; Outcome::usage for a token that is none. A client
// does not ask for it: they may be there by the time of the request.
Result<void> files_readable(const HttpRequest& request);

// Whether nobody's rights are needed for it: no file is read that may be root's, and no socket of a path is
// asked.
bool needs_no_rights(const HttpRequest& request);

// A client that makes the same request again and again, each time over a new connection: an answer must
// come from what listens now. One request at a time.
class HttpClient {
 public:
  // Reads the settings, neither files nor the network. Outcome::usage for a setting that cannot be.
  static Result<HttpClient> create(HttpRequest request);

  // The files, the name look-up, TLS and reading included, it returns within a few milliseconds of the
  // deadline.
  HttpResult request(const Deadline& deadline);

  [[nodiscard]] const HttpRequest& settings() const { return *request_; }

 private:
  struct Handle;
  struct HandleDeleter {
    void operator()(Handle* handle) const;
  };

  HttpClient() = default;
  std::unique_ptr<HttpRequest> request_;
  std::unique_ptr<Handle, HandleDeleter> handle_;
};

} // namespace safe_deploy
