#include "http.hpp"

#include "curl.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "read_apart.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace safe_deploy {

namespace {

// More than any server sends, and little enough to hold: libcurl limits a single line only.
constexpr std::size_t max_headers = 256UL * 1024;
constexpr long max_redirects = 10;
constexpr std::size_t max_token = 64UL * 1024;
// Of one file with certificates or a key: the system's own authorities are a quarter of it.
constexpr std::size_t max_pem = 1024UL * 1024;

// Where there is anything of libcurl's, it has been loaded.
const Curl& curl() {
  return *Curl::load();
}

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl().slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistDeleter>;

struct CurlUrlDeleter {
  void operator()(CURLU* url) const { curl().url_cleanup(url); }
};

struct CurlStringDeleter {
  void operator()(char* text) const { curl().free(text); }
};

struct EasyDeleter {
  void operator()(CURL* easy) const { curl().easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

std::string url_part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl().url_get(url, part, &text, flags) != CURLUE_OK) return {};
  return std::unique_ptr<char, CurlStringDeleter>(text).get();
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

// RFC 9110, section 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const std::size_t first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(space) - first + 1);
}

// RFC 9112, section 4: three digits. libcurl takes "HTTP/1.1 2000" for a 200, depending on its version.
bool is_status_line(std::string_view line) {
  const std::string_view code = trim(line.substr(std::min(line.find(' '), line.size())));
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return code.size() >= 3 && code[0] != '0' && std::all_of(code.begin(), code.begin() + 3, is_digit) &&
         (code.size() == 3 || code[3] == ' ' || code[3] == '\t');
}

// libcurl leaves a header without a value out, unless it is written with a semicolon (CURLOPT_HTTPHEADER(3)).
Result<std::string> header_line(const std::string& header) {
  const std::size_t colon = header.find(':');
  if (colon == std::string::npos || !is_token(header.substr(0, colon)) || has_control(header))
    return fail(Outcome::usage, fmt::format("'{}'", printable(header, 60)), "is not a header (Name: value)");
  if (trim(header.substr(colon + 1)).empty()) return header.substr(0, colon) + ";";
  return header;
}

Result<std::string> read_token(FileApart& files, const std::string& file, const Deadline& deadline) {
  auto text = files.read(file, max_token, deadline);
  if (!text) return forward_error(text);
  const std::string token(trim(*text));
  if (token.empty() || has_control(token)) return fail(Outcome::usage, file, "does not hold one token");
  return token;
}

// Headers that are too much for us end the transfer by our own callback. A single line that is too long for
// libcurl is CURLE_TOO_LARGE since 8.6; 7.88 takes it for a lack of memory.
bool says_too_large(CURLcode code) {
  constexpr int too_large = 100;
  return code == CURLE_WRITE_ERROR || code == CURLE_OUT_OF_MEMORY || static_cast<int>(code) == too_large;
}

// A query may hold a secret.
std::string shown_url(std::string_view text) {
  const std::size_t query = text.find('?');
  return printable(text.substr(0, query), 200) + (query == std::string_view::npos ? "" : "?…");
}

} // namespace

std::string Url::shown() const {
  return shown_url(text);
}

Result<void> files_readable(const HttpRequest& request) {
  FileApart files;
  const Deadline deadline = Deadline::after(std::chrono::seconds(5));
  if (!request.bearer_file.empty())
    if (auto token = read_token(files, request.bearer_file, deadline); !token) return forward_error(token);
  for (const auto& file : {request.ca_file, request.certificate_file, request.key_file})
    if (!file.empty())
      if (auto text = files.read(file, max_pem, deadline); !text) return forward_error(text);
  return {};
}

Result<void> load_http() {
  if (const auto& loaded = Curl::load(); !loaded) return tl::unexpected<Error>(loaded.error());
  return {};
}

Result<Url> parse_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Outcome::usage, fmt::format("'{}'", shown_url(text)), std::string(why));
  };
  if (has_control(text) || text.find(' ') != std::string_view::npos) return bad("is not a URL");
  if (auto loaded = load_http(); !loaded) return forward_error(loaded);
  const std::unique_ptr<CURLU, CurlUrlDeleter> url(curl().url());
  Url parsed{.text = std::string(text), .scheme = {}, .host = {}};
  if (!url || text.find("://") == std::string_view::npos ||
      curl().url_set(url.get(), CURLUPART_URL, parsed.text.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return bad("is not a URL (such as http://127.0.0.1:9000/health)");
  parsed.scheme = url_part(url.get(), CURLUPART_SCHEME);
  if (parsed.scheme != "http" && parsed.scheme != "https") return bad("is neither http nor https");
  if (!url_part(url.get(), CURLUPART_USER).empty() || !url_part(url.get(), CURLUPART_PASSWORD).empty())
    return fail(Outcome::usage, "URL", "holds a user's name or password; secrets belong in a file");
  parsed.host = url_part(url.get(), CURLUPART_HOST);
  if (parsed.host.size() > 2 && parsed.host.front() == '[')
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  const auto port = parse_count(url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), 1, 65535);
  if (parsed.host.empty() || !port) return bad("names no host and port");
  parsed.port = static_cast<std::uint16_t>(*port);
  return parsed;
}

std::string_view word(HttpFault fault) {
  switch (fault) {
    case HttpFault::dns:
      return "dns";
    case HttpFault::refused:
      return "refused";
    case HttpFault::unreachable:
      return "unreachable";
    case HttpFault::tls:
      return "tls";
    case HttpFault::timeout:
      return "timeout";
    case HttpFault::closed:
      return "closed";
    case HttpFault::protocol:
      return "protocol";
    case HttpFault::too_large:
      return "too-large";
    case HttpFault::redirects:
      return "redirects";
    case HttpFault::local:
      return "local";
  }
  return "local";
}

// The easy handle and what one request collects while it runs.
struct HttpClient::Handle {
  Easy easy = {};
  Slist headers = {};                                       // of the request; the handle only points to it
  std::string authorities = {}, certificate = {}, key = {}; // so are these
  FileApart files = {};
  std::array<char, CURL_ERROR_SIZE> error_text = {};
  CURLcode bad_setting = CURLE_OK; // the first setting that libcurl did not take
  std::uint64_t max_body = 0;
  std::function<bool(std::string_view)> take_body = {};

  HttpResponse response = {};
  std::size_t header_bytes = 0;
  std::uint64_t body_bytes = 0;        // that came, kept or not
  std::string bad_status = {};         // a first line that is none
  std::vector<std::string> tried = {}; // the addresses, in order
  bool closed_connected = false;

  template <class Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl().easy_setopt(easy.get(), option, value);
    if (bad_setting == CURLE_OK) bad_setting = code;
  }

  // For a file that libcurl would open by itself, on this thread.
  Result<void> set_content(CURLoption option, const std::string& file, std::string& content,
                           const Deadline& deadline) {
    if (file.empty()) return {};
    auto text = files.read(file, max_pem, deadline);
    if (!text) return forward_error(text);
    content = std::move(*text);
    curl_blob blob{content.data(), content.size(), CURL_BLOB_NOCOPY};
    set(option, &blob);
    return {};
  }

  // Empty: libcurl's default.
  void set_if(CURLoption option, const std::string& value) {
    if (!value.empty()) set(option, value.c_str());
  }

  template <class Value>
  [[nodiscard]] Value get(CURLINFO info) const {
    Value value{};
    (void)curl().easy_getinfo(easy.get(), info, &value);
    return value;
  }

  // A connection was made. libcurl tells the port and the time of it in the middle of an agreement on TLS too
  // late, so the socket is asked when it is closed.
  [[nodiscard]] bool was_connected() const {
    return closed_connected || get<long>(CURLINFO_LOCAL_PORT) > 0 ||
           get<curl_off_t>(CURLINFO_CONNECT_TIME_T) > 0;
  }

  void configure(const HttpRequest& request);
  Result<void> set_headers(const HttpRequest& request, const std::string& token = {});
  Result<void> set_files(const HttpRequest& request, const Deadline& deadline);

  static std::size_t on_header(const char* data, std::size_t, std::size_t size, void* self);
  static std::size_t on_body(const char* data, std::size_t, std::size_t size, void* self);
  static curl_socket_t on_socket(void* self, curlsocktype, curl_sockaddr* address);
  static int on_close(void* self, curl_socket_t socket);

  void note_ends();
  [[nodiscard]] HttpFailure failure(CURLcode code, const HttpRequest& request, Duration allowed) const;
  [[nodiscard]] HttpFailure not_connected(const HttpRequest& request) const;
  [[nodiscard]] HttpFailure late(const HttpRequest& request, Duration allowed) const;
  [[nodiscard]] std::string told_by_curl(CURLcode code) const;
};

void HttpClient::HandleDeleter::operator()(Handle* handle) const {
  delete handle;
}

void HttpClient::Handle::configure(const HttpRequest& request) {
  set(CURLOPT_URL, request.url.text.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, max_redirects);
  set(CURLOPT_PROXY, ""); // not the one of the environment, either
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L); // do not wait for a name look-up that was given up
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS)); // HTTP/2 where TLS agrees on it
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_USERAGENT, "safe-deploy/" SAFE_DEPLOY_VERSION);
  set(CURLOPT_ERRORBUFFER, error_text.data());
  set_if(CURLOPT_UNIX_SOCKET_PATH, request.unix_socket);

  if (request.data) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.data->size()));
    set(CURLOPT_POSTFIELDS, request.data->c_str());
  }
  if (request.method == "HEAD")
    set(CURLOPT_NOBODY, 1L);
  else
    set_if(CURLOPT_CUSTOMREQUEST, request.method);

  set(CURLOPT_SSL_VERIFYPEER, request.insecure ? 0L : 1L);
  set(CURLOPT_SSL_VERIFYHOST, request.insecure ? 0L : 2L);

  set(CURLOPT_HEADERFUNCTION, &Handle::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Handle::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_OPENSOCKETFUNCTION, &Handle::on_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
  set(CURLOPT_CLOSESOCKETFUNCTION, &Handle::on_close);
  set(CURLOPT_CLOSESOCKETDATA, this);
  max_body = request.max_body;
  take_body = request.on_body;
}

// libcurl drops an Authorization header when a redirect leads to another host (CURLOPT_HTTPHEADER(3)).
Result<void> HttpClient::Handle::set_headers(const HttpRequest& request, const std::string& token) {
  std::vector<std::string> lines;
  for (const auto& header : request.headers) {
    auto line = header_line(header);
    if (!line) return forward_error(line);
    lines.push_back(std::move(*line));
  }
  if (!token.empty()) lines.push_back("Authorization: Bearer " + token);
  Slist list;
  for (const auto& line : lines) {
    curl_slist* longer = curl().slist_append(list.get(), line.c_str());
    if (longer == nullptr) return fail_errno("HTTP headers", "cannot be set", ENOMEM);
    (void)list.release();
    list.reset(longer);
  }
  set(CURLOPT_HTTPHEADER, list.get());
  headers = std::move(list);
  return {};
}

// They may have been renewed.
Result<void> HttpClient::Handle::set_files(const HttpRequest& request, const Deadline& deadline) {
  if (!request.bearer_file.empty()) {
    auto token = read_token(files, request.bearer_file, deadline);
    if (!token) return forward_error(token);
    if (auto set = set_headers(request, *token); !set) return set;
  }
  auto set = set_content(CURLOPT_CAINFO_BLOB, request.ca_file, authorities, deadline);
  if (set) set = set_content(CURLOPT_SSLCERT_BLOB, request.certificate_file, certificate, deadline);
  if (set) set = set_content(CURLOPT_SSLKEY_BLOB, request.key_file, key, deadline);
  if (set && bad_setting != CURLE_OK) return fail(Outcome::no, "libcurl", curl().easy_strerror(bad_setting));
  return set;
}

std::size_t HttpClient::Handle::on_header(const char* data, std::size_t, std::size_t size, void* self) {
  auto& handle = *static_cast<Handle*>(self);
  const std::string_view line(data, size);
  handle.header_bytes += size;
  if (handle.header_bytes > max_headers) return 0; // ends the transfer
  if (line.starts_with("HTTP/")) {                 // a redirect and "100 Continue" have headers of their own
    handle.response.headers.clear();
    handle.response.body.clear();
    handle.tried.clear(); // what fails now is behind a redirect
    if (!is_status_line(line)) {
      handle.bad_status = trim(line);
      return 0;
    }
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos)
    handle.response.headers.emplace_back(lower(line.substr(0, colon)),
                                         std::string(trim(line.substr(colon + 1))));
  return size;
}

std::size_t HttpClient::Handle::on_body(const char* data, std::size_t, std::size_t size, void* self) {
  auto& handle = *static_cast<Handle*>(self);
  handle.body_bytes += size;
  if (handle.take_body) {
    handle.response.body_cut = !handle.take_body({data, size});
    return handle.response.body_cut ? 0 : size;
  }
  std::string& body = handle.response.body;
  const std::uint64_t room = handle.max_body - body.size();
  body.append(data, static_cast<std::size_t>(std::min<std::uint64_t>(size, room)));
  handle.response.body_cut = size > room;
  return handle.response.body_cut ? 0 : size; // 0 ends the transfer
}

curl_socket_t HttpClient::Handle::on_socket(void* self, curlsocktype, curl_sockaddr* address) {
  std::array<char, NI_MAXHOST> text{};
  if (address->family != AF_UNIX && getnameinfo(&address->addr, address->addrlen, text.data(), text.size(),
                                                nullptr, 0, NI_NUMERICHOST) == 0)
    static_cast<Handle*>(self)->tried.emplace_back(text.data());
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int HttpClient::Handle::on_close(void* self, curl_socket_t socket) {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) == 0)
    static_cast<Handle*>(self)->closed_connected = true;
  return close(socket);
}

void HttpClient::Handle::note_ends() {
  response.status = get<long>(CURLINFO_RESPONSE_CODE);
  response.latency = Duration(get<curl_off_t>(CURLINFO_TOTAL_TIME_T));
  const auto text = [](const char* value) { return std::string(value != nullptr ? value : ""); };
  response.local_address = text(get<const char*>(CURLINFO_LOCAL_IP));
  response.peer_address = text(get<const char*>(CURLINFO_PRIMARY_IP));
  response.local_port = static_cast<std::uint16_t>(get<long>(CURLINFO_LOCAL_PORT));
  response.peer_port = static_cast<std::uint16_t>(get<long>(CURLINFO_PRIMARY_PORT));
}

std::string HttpClient::Handle::told_by_curl(CURLcode code) const {
  return printable(error_text[0] != 0 ? error_text.data() : curl().easy_strerror(code));
}

HttpFailure HttpClient::Handle::not_connected(const HttpRequest& request) const {
  const auto error_number = static_cast<int>(get<long>(CURLINFO_OS_ERRNO));
  const std::string where =
      !request.unix_socket.empty() ? request.unix_socket : fmt::format("{}", fmt::join(tried, " and "));
  const std::string by = where.empty() ? "" : " by " + where;
  switch (error_number) {
    case ECONNREFUSED:
      return {HttpFault::refused, "connection refused" + by};
    case ENOENT: // a unix socket that is not there yet
      return {HttpFault::refused, fmt::format("{} does not exist", where)};
    case EACCES:
    case EPERM:
    case EMFILE:
    case ENFILE:
      return {.fault = HttpFault::local,
              .sentence = fmt::format("cannot connect{}: {}", where.empty() ? "" : " to " + where,
                                      std::strerror(error_number)),
              .error_number = error_number};
    default:
      return {HttpFault::unreachable, fmt::format("cannot reach {}: {}", where.empty() ? "the host" : where,
                                                  error_number != 0 ? std::strerror(error_number)
                                                                    : told_by_curl(CURLE_COULDNT_CONNECT))};
  }
}

// What was reached when the time was up.
HttpFailure HttpClient::Handle::late(const HttpRequest& request, Duration allowed) const {
  const std::string within =
      "within " + format_duration(std::chrono::ceil<std::chrono::milliseconds>(allowed));
  std::string sentence;
  if (get<long>(CURLINFO_RESPONSE_CODE) != 0)
    sentence = fmt::format("{}, but the answer did not end {} ({} bytes of its body came)",
                           get<long>(CURLINFO_RESPONSE_CODE), within, body_bytes);
  else if (get<curl_off_t>(CURLINFO_PRETRANSFER_TIME_T) > 0)
    sentence = "connected, but no answer " + within;
  else if (was_connected())
    sentence = "connected, but no agreement on TLS " + within;
  else if (get<curl_off_t>(CURLINFO_NAMELOOKUP_TIME_T) > 0 || !tried.empty())
    sentence = "no connection " + within;
  else
    sentence = fmt::format("the name '{}' was not resolved {}", printable(request.url.host, 60), within);
  return {HttpFault::timeout, std::move(sentence)};
}

HttpFailure HttpClient::Handle::failure(CURLcode code, const HttpRequest& request, Duration allowed) const {
  const long status = get<long>(CURLINFO_RESPONSE_CODE);
  if (!bad_status.empty())
    return {HttpFault::protocol, fmt::format("what answers does not speak HTTP (its first line is '{}')",
                                             printable(bad_status, 60))};
  if (says_too_large(code) && header_bytes > 0 && body_bytes == 0)
    return {HttpFault::too_large,
            fmt::format("the headers of the answer do not end ({} and more)", format_size(header_bytes))};
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {HttpFault::dns, fmt::format("the name '{}' has no address", printable(request.url.host, 60))};
    case CURLE_COULDNT_CONNECT:
      return not_connected(request);
    case CURLE_OPERATION_TIMEDOUT:
      return late(request, allowed);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      if (told_by_curl(code).find("wrong version number") != std::string::npos)
        return {HttpFault::tls, fmt::format("TLS: the server does not speak TLS ({})", told_by_curl(code))};
      return {HttpFault::tls, "TLS: " + told_by_curl(code)};
    case CURLE_GOT_NOTHING:
      return {HttpFault::closed, "the connection was closed without an answer"};
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
      return {HttpFault::closed,
              status == 0 ? fmt::format("the connection broke before an answer came ({})", told_by_curl(code))
                          : fmt::format("{}, but the connection broke in the middle of it ({})", status,
                                        told_by_curl(code))};
    case CURLE_TOO_MANY_REDIRECTS:
      return {HttpFault::redirects, fmt::format("more than {} redirects", max_redirects)};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      if (status >= 300 && status < 400)
        return {HttpFault::redirects,
                fmt::format("{}, a redirect to something that is not HTTP ({})", status, told_by_curl(code))};
      return {HttpFault::protocol, "what answers does not speak HTTP (" + told_by_curl(code) + ")"};
    case CURLE_SSL_CERTPROBLEM: // of our own certificate
      return {HttpFault::local,
              fmt::format("{}: {}", printable(request.certificate_file), told_by_curl(code))};
    case CURLE_SSL_CACERT_BADFILE:
      return {HttpFault::local, fmt::format("{}: {}", printable(request.ca_file), told_by_curl(code))};
    case CURLE_OUT_OF_MEMORY:
      return {.fault = HttpFault::local, .sentence = told_by_curl(code), .error_number = ENOMEM};
    case CURLE_READ_ERROR:
    case CURLE_WRITE_ERROR:
    case CURLE_FAILED_INIT:
      return {HttpFault::local, told_by_curl(code)};
    default:
      return {HttpFault::protocol, told_by_curl(code)};
  }
}

bool needs_no_rights(const HttpRequest& request) {
  return request.bearer_file.empty() && request.ca_file.empty() && request.certificate_file.empty() &&
         request.key_file.empty() && request.unix_socket.empty();
}

Result<HttpClient> HttpClient::create(HttpRequest request) {
  if (auto loaded = load_http(); !loaded) return forward_error(loaded);
  HttpClient client;
  client.request_ = std::make_unique<HttpRequest>(std::move(request));
  client.handle_.reset(new Handle);
  Handle& handle = *client.handle_;
  handle.easy.reset(curl().easy_init());
  if (!handle.easy) return fail_errno("libcurl", "cannot start", ENOMEM);
  const HttpRequest& settings = *client.request_;
  if (!settings.method.empty() && !is_token(settings.method))
    return fail(Outcome::usage, fmt::format("'{}'", printable(settings.method, 40)), "is not an HTTP method");
  handle.configure(settings);
  if (auto set = handle.set_headers(settings); !set) return forward_error(set);
  if (handle.bad_setting != CURLE_OK)
    return fail(Outcome::usage, settings.url.shown(), curl().easy_strerror(handle.bad_setting));
  return client;
}

HttpResult HttpClient::request(const Deadline& deadline) {
  Handle& handle = *handle_;
  const Duration allowed = deadline.remaining();
  if (allowed <= Duration::zero()) return HttpFailure{HttpFault::timeout, "no time was left to ask"};
  if (auto set = handle.set_files(*request_, deadline); !set) {
    const Error& error = set.error();
    const bool late = error.outcome() == Outcome::timed_out;
    return HttpFailure{.fault = late ? HttpFault::timeout : HttpFault::local,
                       .sentence = printable(error.text(), 400),
                       .error_number = error.outcome() == Outcome::os_error ? error.code.value() : 0};
  }
  // Milliseconds, and 0 would stand for "without limit". A limit of years would overflow inside libcurl.
  const Duration most = std::clamp<Duration>(deadline.remaining(), Duration(1), std::chrono::hours(24 * 7));
  const auto milliseconds = static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(most).count());
  handle.set(CURLOPT_TIMEOUT_MS, milliseconds);
  handle.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds);
  handle.response = {};
  handle.header_bytes = 0;
  handle.body_bytes = 0;
  handle.bad_status.clear();
  handle.tried.clear();
  handle.closed_connected = false;
  handle.error_text[0] = 0;

  const CURLcode code = curl().easy_perform(handle.easy.get());
  if (code != CURLE_OK && !handle.response.body_cut) {
    HttpFailure failure = handle.failure(code, *request_, deadline.given());
    failure.answered = handle.was_connected();
    return failure;
  }
  handle.note_ends();
  return std::move(handle.response);
}

} // namespace safe_deploy
