#include "checks/kinds.hpp"

#include "catch.hpp"
#include "checks/certificate_check.hpp"
#include "checks/judges.hpp"
#include "checks/status_ranges.hpp"
#include "http.hpp"
#include "quantity.hpp"

#include <set>

using namespace safe_deploy;

namespace {

using Values = std::initializer_list<const char*>;

void all_right(KindKey::Judge judge, Values values) {
  for (const char* value : values) {
    INFO(value);
    CHECK(judge(value) == "");
  }
}

void all_wrong(KindKey::Judge judge, Values values) {
  for (const char* value : values) {
    INFO(value);
    CHECK(judge(value) != "");
  }
}

} // namespace

TEST_CASE("each kind of check is found by the key that makes it") {
  std::set<std::string_view> names;
  for (const auto& kind : check_kinds()) {
    INFO(kind.name);
    CHECK(names.insert(kind.name).second);
    CHECK(find_check_kind(kind.name) == &kind);
    REQUIRE_FALSE(kind.keys.empty());
    CHECK(kind.keys.front().name == kind.name);
    CHECK_FALSE(kind.keys.front().repeats);
    std::set<std::string_view> keys;
    for (const auto& key : kind.keys) {
      CHECK(keys.insert(key.name).second);
      CHECK(kind.find_key(key.name) == &key);
      CHECK(key.name.size() <= 49); // what inih takes
    }
  }
  CHECK(find_check_kind("nonsense") == nullptr);
  CHECK(check_kinds().front().find_key("nonsense") == nullptr);
}

TEST_CASE("no key of a kind hides one that every check takes") {
  for (const auto& kind : check_kinds())
    for (const char* common : {"when", "level", "required", "attempts", "interval", "timeout", "description"})
      CHECK(kind.find_key(common) == nullptr);
}

TEST_CASE("a default is a value that would be taken") {
  for (const auto& kind : check_kinds())
    for (const auto& key : kind.keys)
      if (!key.otherwise.empty() && key.judge != nullptr) CHECK(key.judge(key.otherwise) == "");
}

TEST_CASE("the defaults of certificate that are told are those that are used") {
  const auto told = [](std::string_view key) {
    return find_check_kind("certificate")->find_key(key)->otherwise;
  };
  CHECK(parse_duration(told("valid-for")).value() == CertificateDemands().valid_for);
  CHECK(parse_boolean(told("insecure")).value() == CertificateDemands().insecure);
}

TEST_CASE("the defaults of http that are told are those that are used") {
  const auto told = [](std::string_view key) { return find_check_kind("http")->find_key(key)->otherwise; };
  const HttpRequest request;
  CHECK(told("expect-status") == StatusRanges::success().text());
  CHECK(parse_size(told("max-body")).value() == request.max_body);
  CHECK(parse_boolean(told("insecure")).value() == request.insecure);
  CHECK(parse_boolean(told("location")).value() == request.follow);
}

TEST_CASE("a URL is http or https with a host") {
  all_right(judge::url, {"http://h", "https://h/", "http://127.0.0.1:9000/api?x=1#y", "http://[::1]:80/",
                         "http://[::1]", "http://h/a@b", "http://h:65535?x"});
  all_wrong(judge::url, {"",
                         "h",
                         "h:80/",
                         "ftp://h/",
                         "http://",
                         "http:///x",
                         "http://:80/",
                         "http://h:0/",
                         "http://h:65536/",
                         "http://h:/",
                         "http://h:x/",
                         "http://h/a b",
                         "http://u@h/",
                         "http://u:p@h/",
                         "HTTP//h",
                         "http://[::1/",
                         "http://[]/",
                         "http://[::1]x/",
                         "http://[::1]:/",
                         "http://h\\x"});
}

TEST_CASE("status codes are codes and ranges") {
  all_right(judge::status_ranges, {"200", "200-299", "200-299,404", "200 , 204"});
  all_wrong(judge::status_ranges,
            {"", "99", "600", "299-200", "200-", "-200", "200,", "2xx", "OK", "200-299-300"});
}

TEST_CASE("headers have a name and a value") {
  all_right(judge::header, {"Name: value", "X-Empty:", "A:b", "Host: h:1"});
  all_wrong(judge::header, {"", "Name", ": value", "Na me: value", "Name : value"});
  all_right(judge::header_pattern, {"Content-Type: ^application/json", "A: ."});
  all_wrong(judge::header_pattern, {"A:", "A: (", "A", ": x"});
}

TEST_CASE("a regular expression compiles") {
  all_right(judge::regex, {"ok", "^a+$", "[[:digit:]]{2}"});
  all_wrong(judge::regex, {"(", "a{2", "[a", "(a)\\1"});
}

TEST_CASE("a token's source is an absolute path or a credential") {
  all_right(judge::token_source, {"/run/secrets/token", "credential:token"});
  all_wrong(judge::token_source, {"", "token", "credential:", "credential:a/b", "credential:..", "./token"});
  CHECK(judge::token_source("hunter2").find("hunter2") == std::string::npos);
}

TEST_CASE("modes and owners are judged as chmod and chown take them") {
  all_right(judge::file_mode, {"0640", "640", "0", "7777", "01777"});
  all_wrong(judge::file_mode, {"", "0680", "-1", "u+w", "10000", "0o640", "640 ", "77777777777777777777"});
  all_right(judge::file_owner, {"root", "root:adm", ":adm", "0:0", "user.name", "a-b_c$"});
  all_wrong(judge::file_owner, {"", ":", "root:", "a:b:c", "a b", "a/b", "\n"});
}

TEST_CASE("one of some words is one of them exactly") {
  const auto* average = find_check_kind("load")->find_key("average");
  all_right(average->judge, {"1m", "5m", "15m"});
  all_wrong(average->judge, {"", "1", "1M", "1m ", "1m|5m", "60s"});
  CHECK(average->judge("2m") == "'2m' is none of 1m, 5m and 15m");
}

TEST_CASE("methods, booleans, percentages, numbers, sizes, durations and units are judged") {
  all_right(judge::http_method, {"GET", "HEAD", "M-SEARCH"});
  all_wrong(judge::http_method, {"", "GET /", "G(T"});
  all_right(judge::yes_or_no, {"yes", "no", "true", "false", "on", "off", "1", "0"});
  all_wrong(judge::yes_or_no, {"", "y", "YES", "maybe"});
  all_right(judge::percent, {"80%", "80", "12.5%"});
  all_wrong(judge::percent, {"", "101%", "-1%"});
  all_right(judge::positive_number, {"1", "0.5", "400"});
  all_wrong(judge::positive_number,
            {"", "0", "0.0", "-1", "nan", "inf", "1e3", "1 2", "1%", "99999999999999999999"});
  all_right(judge::number, {"0", "-3", "+0.5", ".5", "1.", "1e-3", "1E+9"});
  all_wrong(judge::number,
            {"", "-", ".", "e1", "1e", "1e-", "NaN", "inf", "0x10", "1,5", "--1", "1 ", "1.5.1"});
  all_right(judge::positive_size, {"1", "1M"});
  all_wrong(judge::positive_size, {"", "0", "-1", "x"});
  all_right(judge::positive_duration, {"1ms", "30s"});
  all_wrong(judge::positive_duration, {"", "0", "infinity", "-1s", "soon"});
  all_right(judge::unit, {"a.service", "a@b.service", "a.socket", "a\\x2db.mount"});
  all_wrong(judge::unit, {"", "a", "a@.service", "@b.service", "a b.service", "a.conf", ".service"});
  all_right(judge::absolute_path, {"/", "/srv/x"});
  all_wrong(judge::absolute_path, {"", "x", "~/x"});
  all_right(judge::target, {"80", "h:80", "[::1]:80", "unix:/run/x"});
  all_wrong(judge::target, {"", "0", "h", "[::1]", "unix:"});
  all_right(judge::stream_target, {"80", "h:80", "[::1]:80", "unix:/run/x"});
  all_wrong(judge::stream_target, {"", "udp:80", "udp:h:80", "h"});
}

TEST_CASE("text with escapes, hosts and places of certificates are judged") {
  all_right(judge::escaped, {"PING\\r\\n", "\\x00", "a b"});
  all_wrong(judge::escaped, {"\\", "\\q", "\\x0", "\\xzz"});
  all_right(judge::host, {"h", "www.example.org", "127.0.0.1", "::1"});
  all_wrong(judge::host, {"", "h:1", "[::1]", "a b", "-h", "1.2.3"});
  all_right(judge::certificate_place, {"/etc/ssl/x.pem", "h:443", "[::1]:443", "127.0.0.1:443"});
  all_wrong(judge::certificate_place, {"", "x.pem", "443", "unix:/run/x", "udp:h:443", "h", "https://h"});
}
