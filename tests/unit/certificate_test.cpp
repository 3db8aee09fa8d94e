#include "catch.hpp"
#include "certificates.hpp"
#include "checks/certificate_check.hpp"
#include "checks/make.hpp"
#include "net.hpp"
#include "scratch.hpp"
#include "scripted_server.hpp"

#include <fcntl.h>
#include <sys/stat.h>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

namespace {

constexpr long day = 86400;
using Settings = std::vector<std::pair<std::string, std::string>>;

CheckSection section(const Settings& settings) {
  CheckSection made;
  made.name = "tls";
  made.kind = settings.front().first;
  made.place = {"app.conf", 10};
  unsigned line = 11;
  for (const auto& [key, value] : settings) made.settings.push_back({key, value, {"app.conf", line++}});
  return made;
}

Answer ask(const Settings& settings, Duration timeout = 10s) {
  const auto check = make_check(section(settings), {.app = "demo"});
  REQUIRE(check);
  return (*check)->ask(Deadline::after(timeout));
}

std::string error_of(const Settings& settings) {
  const auto check = make_check(section(settings), {.app = "demo"});
  REQUIRE_FALSE(check);
  CHECK(check.error().outcome() == Outcome::bad_config);
  return check.error().text();
}

// In the month and so on of a certificate that ends in so many seconds.
std::string date_in(long seconds) {
  const std::time_t then = std::time(nullptr) + seconds;
  std::tm parts{};
  gmtime_r(&then, &parts);
  char text[32];
  REQUIRE(std::strftime(text, sizeof text, "%Y-%m-%d", &parts) > 0);
  return text;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A file in a directory of its own.
struct File {
  Scratch scratch = {};
  std::string path = scratch / "x.pem";
  explicit File(const std::string& content) { scratch.write("x.pem", content); }
  [[nodiscard]] Answer ask(const std::string& valid_for = "14d") const {
    return ::ask({{"certificate", path}, {"valid-for", valid_for}});
  }
};

std::string at(const std::string& host, std::uint16_t port) {
  return host + ":" + std::to_string(port);
}

} // namespace

TEST_CASE("a certificate with 60 days left is well, and it is told until when") {
  const File file(pem(make_certificate({.common_name = "www.example.org", .until = 60 * day + 100})));
  const Answer answer = file.ask();
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence ==
        file.path + ": www.example.org valid until " + date_in(60 * day + 100) + " (in 60d)");
  REQUIRE(answer.figures.size() == 1);
  CHECK(answer.figures[0].name == "valid-for");
  CHECK(answer.figures[0].unit == "s");
  CHECK(answer.figures[0].value > 60.0 * day);
  CHECK(answer.figures[0].value <= 60.0 * day + 100);
}

TEST_CASE("a certificate with 10 days left expires too soon for 14 days, and not for a week") {
  const File file(pem(make_certificate({.until = 10 * day + 3600})));
  const Answer answer = file.ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "expires");
  CHECK(answer.sentence ==
        file.path + ": localhost expires on " + date_in(10 * day + 3600) + ", in 10d: less than 14d");
  CHECK(file.ask("7d").good());
}

TEST_CASE("hours count in the last days") {
  const File file(pem(make_certificate({.until = 5 * 3600 + 100})));
  CHECK(holds(file.ask().sentence, ", in 5h 1m: less than 14d"));
}

TEST_CASE("an expired certificate and one that is not valid yet say so") {
  const File old(pem(make_certificate({.from = -30 * day, .until = -20 * day - 60})));
  const Answer expired = old.ask();
  CHECK(expired.reason == "expired");
  CHECK(expired.sentence == old.path + ": localhost expired on " + date_in(-20 * day - 60) + ", 20d ago");
  REQUIRE(expired.figures.size() == 1);
  CHECK(expired.figures[0].value < 0);

  const File young(pem(make_certificate({.from = 20 * day + 60})));
  const Answer early = young.ask();
  CHECK(early.reason == "not-yet-valid");
  CHECK(early.sentence ==
        young.path + ": localhost is not valid before " + date_in(20 * day + 60) + ", in 20d");
}

TEST_CASE("validity ends with its last second") {
  const std::chrono::sys_seconds end{std::chrono::sys_days{std::chrono::year{2100} / 1 / 31}};
  const std::vector<Certificate> one{{"x", end - 24h, end}};
  CHECK(judge_validity("x", one, 1s, end - 1s).good());
  CHECK(judge_validity("x", one, 1s, end).reason == "expires");
  CHECK(judge_validity("x", one, 1s, end + 1s).reason == "expired");
  CHECK(judge_validity("x", one, 1s, end - 24h).good());
  CHECK(judge_validity("x", one, 1s, end - 24h - 1s).reason == "not-yet-valid");
}

TEST_CASE("of several certificates in a file the first that expires counts") {
  const Made root = make_certificate({.common_name = "Root", .until = 20 * day + 60, .authority = true});
  const Made leaf = make_certificate({.common_name = "leaf", .until = 40 * day, .issuer = &root});
  const File file("some text\n" + pem_of_key(leaf) + pem(leaf) + "\n" + pem(root));
  const Answer answer = file.ask();
  CHECK(answer.good());
  CHECK(answer.sentence ==
        file.path + ": Root (of 2 certificates) valid until " + date_in(20 * day + 60) + " (in 20d)");
  CHECK(file.ask("30d").reason == "expires");
}

TEST_CASE("DER is read, too") {
  CHECK(File(der(make_certificate())).ask().good());
}

TEST_CASE("a certificate without a common name goes by its first other name") {
  const File file(pem(make_certificate({.common_name = "", .alternative = "DNS:a.example,DNS:b.example"})));
  CHECK(holds(file.ask().sentence, ": a.example valid until "));
  CHECK(holds(File(pem(make_certificate({.common_name = ""}))).ask().sentence,
              ": a certificate without a name valid until "));
}

TEST_CASE("a hostile subject cannot spoil a terminal") {
  const File file(pem(make_certificate({.common_name = "\x1b[31mred\r\nok: fine"})));
  CHECK(holds(file.ask().sentence, ": \\x1b[31mred\\x0d\\x0aok: fine valid until "));
}

TEST_CASE("what holds no certificate says what it holds instead") {
  const auto of = [](const std::string& content) {
    const File file(content);
    const Answer answer = file.ask();
    CHECK(answer.verdict == Verdict::no);
    CHECK(answer.reason == "not-a-certificate");
    CHECK(answer.sentence.starts_with(file.path + ": "));
    return answer.sentence.substr(file.path.size() + 2);
  };
  CHECK(of(pem_of_key(make_certificate())) == "no certificate: it holds a PRIVATE KEY");
  CHECK(of("") == "no certificate: it is neither PEM nor DER");
  CHECK(of(std::string("\0\x30\x82\xff garbage", 13)) == "no certificate: it is neither PEM nor DER");
  CHECK(of("-----BEGIN \x1b[1m-----\nAAAA\n-----END \x1b[1m-----\n") ==
        "no certificate: it holds a \\x1b[1m");
  CHECK(of("-----BEGIN CERTIFICATE-----\nMIIB\n").starts_with("certificate 1: cannot be read ("));
  CHECK(of(pem(make_certificate()) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .starts_with("certificate 2: cannot be read ("));
  // OpenSSL would ask for the passphrase at the terminal.
  CHECK(of("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
           "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END CERTIFICATE-----\n")
            .starts_with("certificate 1: cannot be read ("));
}

TEST_CASE("a file that cannot be read, or is none, says so at once") {
  const File file(std::string((1U << 20U) + 1, 'x'));
  CHECK(file.ask().reason == "unreadable");
  CHECK(file.ask().sentence == file.path + ": is too large");
  const Scratch scratch;
  REQUIRE(mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  const Answer fifo = ask({{"certificate", scratch / "fifo"}});
  CHECK(fifo.reason == "unreadable");
  CHECK(fifo.sentence == scratch / "fifo" + ": is not a regular file");
  const Answer gone = ask({{"certificate", scratch / "gone"}});
  CHECK(gone.verdict == Verdict::no);
  CHECK(gone.sentence == scratch / "gone" + ": cannot open: No such file or directory");
  CHECK(ask({{"certificate", scratch.path()}}).reason == "unreadable");
}

TEST_CASE("where the file may not be read the question is skipped") {
  if (!is_root()) return;
  const File file(pem(make_certificate()));
  REQUIRE(chmod(file.path.c_str(), 0) == 0);
  REQUIRE(chmod(file.scratch.path().c_str(), 0755) == 0);
  CHECK(in_child([&] {
    if (setresuid(65534, 65534, 65534) != 0) return false;
    const Answer answer = CertificateFileCheck(file.path, 1s).ask(Deadline::never());
    return answer.verdict == Verdict::skipped && answer.reason == "unreadable";
  }));
}

TEST_CASE("a server's certificate is well where its name is right and it is trusted") {
  const Made root = make_certificate({.common_name = "Root", .authority = true});
  const Made leaf = make_certificate({.common_name = "leaf",
                                      .alternative = "DNS:localhost,DNS:*.example.org,IP:127.0.0.1",
                                      .until = 30 * day + 60,
                                      .issuer = &root});
  const File trusted(pem(root));
  TlsServer server(leaf);
  const std::string by_name = at("localhost", server.port());
  const std::string by_address = at("127.0.0.1", server.port());
  const Answer answer = ask({{"certificate", by_name}, {"cacert", trusted.path}});
  CHECK(answer.sentence ==
        by_name + ": leaf (of 2 certificates) valid until " + date_in(30 * day + 60) + " (in 30d)");
  CHECK(answer.verdict == Verdict::yes);
  CHECK(ask({{"certificate", by_address}, {"cacert", trusted.path}}).good());
  const Settings named{
      {"certificate", by_address}, {"cacert", trusted.path}, {"server-name", "a.example.org"}};
  CHECK(ask(named).good());
  CHECK(server.asked_name() == "a.example.org");
}

TEST_CASE("an address is asked for by no name") {
  TlsServer server(make_certificate());
  CHECK(ask({{"certificate", at("127.0.0.1", server.port())}, {"insecure", "yes"}}).good());
  CHECK(server.asked_name().empty());
}

TEST_CASE("a certificate for another name says for which ones it is") {
  const Made made = make_certificate({.alternative = "DNS:a.example,DNS:b.example"});
  const File trusted(pem(made));
  const TlsServer server(made);
  const std::string place = at("localhost", server.port());
  const Answer answer = ask({{"certificate", place}, {"cacert", trusted.path}});
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "name");
  CHECK(answer.counts);
  CHECK(answer.sentence == place + ": the certificate is for a.example, b.example, not for localhost");
  CHECK(ask({{"certificate", place}, {"cacert", trusted.path}, {"server-name", "b.example"}}).good());
  CHECK(ask({{"certificate", place}, {"insecure", "yes"}}).good());
}

TEST_CASE("a self-signed certificate, and one of an unknown authority, are not trusted") {
  const Made root = make_certificate({.common_name = "Root", .authority = true});
  const auto untrusted = [](const Made& made, const Settings& more) {
    const TlsServer server(made);
    Settings settings{{"certificate", at("localhost", server.port())}};
    settings.insert(settings.end(), more.begin(), more.end());
    const Answer answer = ask(settings);
    CHECK(answer.reason == "untrusted");
    CHECK(answer.figures.size() == 1);
    return answer.sentence.substr(answer.sentence.find(' ') + 1);
  };
  CHECK(untrusted(make_certificate(), {}).starts_with("the certificate of localhost is not trusted: self"));
  CHECK(untrusted(make_certificate({.issuer = &root}), {})
            .starts_with("the certificate of localhost is not trusted: unable to get local issuer"));
  const File other(pem(make_certificate({.common_name = "Other", .authority = true})));
  (void)untrusted(make_certificate({.issuer = &root}), {{"cacert", other.path}});
}

TEST_CASE("the dates of a server's certificate matter, trusted or not") {
  const auto reason = [](const Wanted& wanted) {
    const TlsServer server(make_certificate(wanted));
    const std::string place = at("localhost", server.port());
    const Answer answer = ask({{"certificate", place}, {"insecure", "yes"}});
    CHECK(ask({{"certificate", place}, {"insecure", "no"}}).verdict == Verdict::no);
    return answer.reason;
  };
  CHECK(reason({.until = 60 * day}) == "ok");
  CHECK(reason({.until = 10 * day}) == "expires");
  CHECK(reason({.until = -60}) == "expired");
  CHECK(reason({.from = 3600}) == "not-yet-valid");
}

TEST_CASE("an authority in between that ends first decides") {
  const Made root = make_certificate({.common_name = "Root", .authority = true});
  const Made between =
      make_certificate({.common_name = "Between", .until = 5 * day + 60, .issuer = &root, .authority = true});
  const Made leaf = make_certificate({.issuer = &between});
  const File trusted(pem(root));
  const TlsServer server(leaf, &between);
  const Answer answer = ask({{"certificate", at("localhost", server.port())}, {"cacert", trusted.path}});
  CHECK(answer.reason == "expires");
  CHECK(holds(answer.sentence, ": Between (of 3 certificates) expires on "));
}

TEST_CASE("a server that does not speak TLS, or does not speak, ends in time") {
  using Connection = ScriptedServer::Connection;
  const auto of = [](const ScriptedServer::Script& script, Duration timeout = 10s) {
    const ScriptedServer server(script);
    const std::string place = at("127.0.0.1", server.port());
    Answer answer = ask({{"certificate", place}, {"insecure", "yes"}}, timeout);
    CHECK(answer.verdict == Verdict::no);
    CHECK(answer.counts);
    answer.sentence = answer.sentence.substr(place.size() + 2);
    return answer;
  };
  const Answer silent = of([](const Connection& client, const std::string&) { client.wait_for_end(); }, 1s);
  CHECK(silent.reason == "timeout");
  CHECK(silent.sentence == "connected, but no agreement on TLS within 1s");
  const Answer http = of([](const Connection& client, const std::string&) {
    (void)client.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    client.wait_for_end();
  });
  CHECK(http.reason == "tls");
  CHECK(http.sentence.starts_with("the server does not speak TLS ("));
  const Answer closed = of([](const Connection&, const std::string&) {});
  CHECK(closed.reason == "tls");
  CHECK(closed.sentence == "it closed the connection during the TLS handshake");
  // A record that is announced, and comes byte by byte.
  const Answer slow = of(
      [](const Connection& client, const std::string&) {
        (void)client.send(std::string("\x16\x03\x03\x3f\xff", 5));
        while (client.send("\x02")) (void)poll(nullptr, 0, 20);
      },
      300ms);
  CHECK(slow.reason == "timeout");
  const Answer flood = of([](const Connection& client, const std::string&) {
    while (client.send(std::string("\x16\x03\x03\x00\x00", 5))) {
    }
  });
  CHECK(flood.reason == "tls");
}

TEST_CASE("nobody there is a no that does not count, and the gate knows of it") {
  const std::string place = at("127.0.0.1", unused_port());
  const Answer answer = ask({{"certificate", place}});
  CHECK(answer.reason == "refused");
  CHECK_FALSE(answer.counts);
  CHECK(answer.sentence == place + ": no connection: 127.0.0.1 refused");
  const auto check = make_check(section({{"certificate", place}}), {.app = "demo"});
  REQUIRE(check);
  REQUIRE((*check)->gate());
  CHECK_FALSE((*check)->gate()->ask(Deadline::never()).good());
  CHECK(make_check(section({{"certificate", "example.org:443"}}), {.app = "demo"}).value()->gate() ==
        nullptr);
  CHECK(make_check(section({{"certificate", "/x"}}), {.app = "demo"}).value()->gate() == nullptr);
}

TEST_CASE("a server that wants a client's certificate is judged by its own all the same") {
  const Made made = make_certificate({.alternative = "DNS:localhost", .until = 30 * day + 60});
  const File trusted(pem(made));
  const TlsServer server(made, nullptr, TlsServer::Client::certified);
  const std::string place = at("localhost", server.port());
  const Answer answer = ask({{"certificate", place}, {"cacert", trusted.path}});
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == place + ": localhost valid until " + date_in(30 * day + 60) +
                               " (in 30d) (it wants a client's certificate)");
  const Answer soon = ask({{"certificate", place}, {"cacert", trusted.path}, {"valid-for", "90d"}});
  CHECK(soon.reason == "expires");
  CHECK(ask({{"certificate", place}}).reason == "untrusted");
  CHECK(ask({{"certificate", place}, {"cacert", trusted.path}, {"server-name", "other"}}).reason == "name");
}

TEST_CASE("authorities that are not there are a matter of the check that trusts them") {
  const Answer answer = ask({{"certificate", "127.0.0.1:1"}, {"cacert", "/nonexistent"}});
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "unreadable");
  CHECK(answer.sentence == "/nonexistent: cannot open: No such file or directory");
}

TEST_CASE("an authority that is none is told as what it is") {
  const TlsServer server(make_certificate());
  const File garbage("garbage");
  const Answer answer = ask({{"certificate", at("localhost", server.port())}, {"cacert", garbage.path}});
  CHECK(answer.reason == "unreadable");
  CHECK(holds(answer.sentence, "cacert: no certificate: it is neither PEM nor DER"));
}

TEST_CASE("what is wrong with a certificate's section is told with its place") {
  CHECK(error_of({{"certificate", "/x"}, {"cacert", "/y"}}) ==
        "app.conf:12: cacert: is of use for HOST:PORT only, not for a file");
  CHECK(error_of({{"certificate", "${app}"}}) ==
        "app.conf:11: certificate: 'demo' is neither the absolute path of a file nor HOST:PORT");
}
