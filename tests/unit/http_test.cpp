#include "http.hpp"

#include "catch.hpp"
#include "certificates.hpp"
#include "scratch.hpp"
#include "scripted_server.hpp"

using namespace safe_deploy;
using namespace std::chrono_literals;
using Connection = ScriptedServer::Connection;

namespace {

HttpResult request(HttpRequest settings, Duration timeout = 5s) {
  auto client = HttpClient::create(std::move(settings));
  REQUIRE(client);
  return client->request(Deadline::after(timeout));
}

HttpResult get(const std::string& url, Duration timeout = 5s) {
  return request({.url = parse_url(url).value()}, timeout);
}

Url https(const ScriptedServer& server) {
  return parse_url("https://127.0.0.1:" + std::to_string(server.port()) + "/").value();
}

HttpResponse response(const HttpResult& result) {
  if (const auto* failure = std::get_if<HttpFailure>(&result)) FAIL(failure->sentence);
  return std::get<HttpResponse>(result);
}

HttpFailure failure(const HttpResult& result) {
  REQUIRE(std::holds_alternative<HttpFailure>(result));
  return std::get<HttpFailure>(result);
}

// A port of 127.0.0.1 that is bound, so that nobody else takes it, and not listened on.
struct ClosedPort {
  Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
  ClosedPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(socket.get(), generic, length) == 0);
    REQUIRE(getsockname(socket.get(), generic, &length) == 0);
    port = ntohs(address.sin_port);
  }
};

} // namespace

TEST_CASE("a URL tells its host and port") {
  const auto plain = parse_url("http://example.org/x?y=1");
  REQUIRE(plain);
  CHECK(plain->host == "example.org");
  CHECK(plain->port == 80);
  CHECK(parse_url("https://example.org")->port == 443);
  CHECK(parse_url("http://[::1]:9000/")->host == "::1");
  CHECK(parse_url("http://127.0.0.1:9000/health")->port == 9000);
}

TEST_CASE("what is not an HTTP URL is a usage error") {
  for (const char* text :
       {"", "127.0.0.1:80", "/health", "ftp://x/", "file:///etc/passwd", "http://", "http://x:0/",
        "http://x:99999/", "http://a b/", "http://x\n/", "http://user:hunter2@x/", "javascript:alert(1)"}) {
    INFO(text);
    const auto url = parse_url(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().outcome() == Outcome::usage);
    CHECK(url.error().text().find("hunter2") == std::string::npos);
  }
}

TEST_CASE("an answer has status, headers, body and the ends of its connection") {
  const ScriptedServer server(
      ScriptedServer::answers(ScriptedServer::answer(201, "hello", "X-Thing:  a b \r\n")));
  const HttpResponse got = response(get(server.url("/x")));
  CHECK(got.status == 201);
  CHECK(got.body == "hello");
  CHECK_FALSE(got.body_cut);
  CHECK(std::find(got.headers.begin(), got.headers.end(),
                  std::pair<std::string, std::string>("x-thing", "a b")) != got.headers.end());
  CHECK(got.peer_address == "127.0.0.1");
  CHECK(got.peer_port == server.port());
  CHECK(got.local_address == "127.0.0.1");
  CHECK(got.local_port != 0);
  CHECK(got.latency > 0us);
  REQUIRE(server.requests().size() == 1);
  CHECK(server.requests()[0].starts_with("GET /x HTTP/1.1\r\n"));
}

TEST_CASE("a request is sent as it was asked for, each time anew") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  const Scratch scratch;
  scratch.write("token", "first\n");
  const std::string token = scratch / "token";
  auto client = HttpClient::create({.url = parse_url(server.url()).value(),
                                    .method = "PUT",
                                    .data = "a=1",
                                    .headers = {"X-One: 1", "X-Empty:"},
                                    .bearer_file = token});
  REQUIRE(client);
  (void)response(client->request(Deadline::after(5s)));
  scratch.write("token", "second\n");
  (void)response(client->request(Deadline::after(5s)));
  const auto requests = server.requests();
  REQUIRE(requests.size() == 2);
  for (const auto& text : requests) {
    CHECK(text.starts_with("PUT / HTTP/1.1\r\n"));
    CHECK(text.find("\r\nX-One: 1\r\n") != std::string::npos);
    CHECK(text.find("\r\nX-Empty:\r\n") != std::string::npos);
    CHECK(text.ends_with("\r\n\r\na=1"));
  }
  CHECK(requests[0].find("Authorization: Bearer first\r\n") != std::string::npos);
  CHECK(requests[1].find("Authorization: Bearer second\r\n") != std::string::npos);
}

TEST_CASE("settings that cannot be are found before anything is asked") {
  const Url url = parse_url("http://127.0.0.1:1/").value();
  const auto outcome = [](const Result<HttpClient>& client) {
    REQUIRE_FALSE(client);
    return client.error().outcome();
  };
  CHECK(outcome(HttpClient::create({.url = url, .method = "GE T"})) == Outcome::usage);
  CHECK(outcome(HttpClient::create({.url = url, .headers = {"no colon"}})) == Outcome::usage);
  CHECK(outcome(HttpClient::create({.url = url, .headers = {"X: a\r\nInjected: 1"}})) == Outcome::usage);
}

TEST_CASE("files are a matter of each request, and may be looked at before") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  const Scratch scratch;
  scratch.write("token", "secret\ntoken");
  const auto wrong = [&](HttpRequest settings) {
    settings.url = parse_url(server.url()).value();
    const auto readable = files_readable(settings);
    REQUIRE_FALSE(readable);
    const HttpFailure told = failure(request(settings));
    CHECK(told.fault == HttpFault::local);
    CHECK(told.sentence == readable.error().text());
    CHECK_FALSE(told.answered);
    return readable.error();
  };
  for (const auto member : {&HttpRequest::bearer_file, &HttpRequest::ca_file, &HttpRequest::certificate_file,
                            &HttpRequest::key_file}) {
    HttpRequest settings;
    settings.*member = "/nonexistent";
    CHECK(wrong(std::move(settings)).text() == "/nonexistent: cannot open: No such file or directory");
  }
  const Error two_lines = wrong({.url = {}, .bearer_file = scratch / "token"});
  CHECK(two_lines.outcome() == Outcome::usage);
  CHECK(two_lines.text().find("secret") == std::string::npos);
  CHECK(server.requests().empty());

  HttpClient client =
      HttpClient::create({.url = parse_url(server.url()).value(), .ca_file = scratch / "late"}).value();
  CHECK(failure(client.request(Deadline::after(5s))).error_number == ENOENT);
  scratch.write("late", "");
  CHECK(response(client.request(Deadline::after(5s))).status == 200);
}

TEST_CASE("certificates and keys are read from their files") {
  const test::Made made = test::make_certificate({.alternative = "IP:127.0.0.1"});
  const Scratch scratch;
  scratch.write("cert", test::pem(made));
  scratch.write("key", test::pem_of_key(made));
  scratch.write("both", test::pem(made) + test::pem_of_key(made));
  scratch.write("garbage", "garbage");
  const test::TlsServer server(made, nullptr, test::TlsServer::Client::certified);
  const Url url = parse_url("https://127.0.0.1:" + std::to_string(server.port()) + "/").value();
  const std::string authority = scratch / "cert";
  CHECK(
      response(
          request(
              {.url = url, .ca_file = authority, .certificate_file = authority, .key_file = scratch / "key"}))
          .status == 200);
  CHECK(response(request({.url = url, .ca_file = authority, .certificate_file = scratch / "both"})).status ==
        200);
  CHECK(response(request({.url = url, .certificate_file = scratch / "both", .insecure = true})).status ==
        200);
  CHECK(failure(request({.url = url, .ca_file = authority})).fault == HttpFault::tls);
  CHECK(failure(request({.url = url, .certificate_file = scratch / "both"})).fault == HttpFault::tls);
  const HttpFailure none = failure(request({.url = url, .ca_file = scratch / "garbage"}));
  CHECK(none.fault == HttpFault::local);
  CHECK(none.sentence.starts_with(scratch / "garbage" + ": "));
  const HttpFailure own =
      failure(request({.url = url, .ca_file = authority, .certificate_file = scratch / "garbage"}));
  CHECK(own.fault == HttpFault::local);
  CHECK(own.sentence.starts_with(scratch / "garbage" + ": "));
}

TEST_CASE("a server without TLS is told as what it is") {
  const ScriptedServer server(ScriptedServer::answers("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const HttpFailure told = failure(request({.url = https(server)}));
  CHECK(told.fault == HttpFault::tls);
  CHECK(told.sentence.starts_with("TLS: the server does not speak TLS ("));
}

TEST_CASE("a URL is shown without its query") {
  CHECK(parse_url("http://h/p?token=secret")->shown() == "http://h/p?…");
  CHECK(parse_url("http://h/p")->shown() == "http://h/p");
  const auto wrong = parse_url("ftp://h/p?token=secret");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().text().find("secret") == std::string::npos);
}

TEST_CASE("a proxy of the environment is ignored") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  for (const char* name : {"http_proxy", "ALL_PROXY"}) REQUIRE(setenv(name, "http://127.0.0.1:1", 1) == 0);
  CHECK(response(get(server.url())).status == 200);
  for (const char* name : {"http_proxy", "ALL_PROXY"}) REQUIRE(unsetenv(name) == 0);
}

TEST_CASE("a unix socket stands for the host") {
  const Scratch scratch;
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "u")), scratch / "s");
  const HttpResponse got =
      response(request({.url = parse_url("http://localhost/x").value(), .unix_socket = scratch / "s"}));
  CHECK(got.body == "u");
  const HttpFailure missing =
      failure(request({.url = parse_url("http://localhost/x").value(), .unix_socket = scratch / "none"}));
  CHECK(missing.fault == HttpFault::refused);
  CHECK_FALSE(missing.answered);
}

TEST_CASE("a redirect is told, and followed only where that is asked for") {
  const ScriptedServer target(ScriptedServer::answers(ScriptedServer::answer(200, "there")));
  const ScriptedServer server(
      ScriptedServer::answers(ScriptedServer::answer(302, "here", "Location: " + target.url() + "\r\n")));
  const Url url = parse_url(server.url()).value();
  CHECK(response(request({.url = url})).status == 302);
  const HttpResponse followed = response(request({.url = url, .follow = true}));
  CHECK(followed.status == 200);
  CHECK(followed.body == "there");
}

TEST_CASE("redirects without end and away from HTTP are a fault") {
  const ScriptedServer loop([](const Connection& connection, const std::string&) {
    (void)connection.send(ScriptedServer::answer(302, "", "Location: /again\r\n"));
  });
  CHECK(failure(request({.url = parse_url(loop.url()).value(), .follow = true})).fault ==
        HttpFault::redirects);
  CHECK(loop.requests().size() == 11);
  const ScriptedServer file(
      ScriptedServer::answers(ScriptedServer::answer(302, "", "Location: file:///etc/passwd\r\n")));
  CHECK(failure(request({.url = parse_url(file.url()).value(), .follow = true})).fault ==
        HttpFault::redirects);
}

TEST_CASE("a token does not follow a redirect to another host") {
  const ScriptedServer target(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  const std::string elsewhere = "http://localhost:" + std::to_string(target.port()) + "/";
  const ScriptedServer server(
      ScriptedServer::answers(ScriptedServer::answer(302, "", "Location: " + elsewhere + "\r\n")));
  const Scratch scratch;
  scratch.write("token", "secret");
  const std::string token = scratch / "token";
  CHECK(response(request({.url = parse_url(server.url()).value(), .bearer_file = token, .follow = true}))
            .status == 200);
  REQUIRE(target.requests().size() == 1);
  CHECK(target.requests()[0].find("secret") == std::string::npos);
}

TEST_CASE("nobody listens: refused, which is no answer") {
  const ClosedPort closed;
  const HttpFailure got = failure(get("http://127.0.0.1:" + std::to_string(closed.port) + "/"));
  CHECK(got.fault == HttpFault::refused);
  CHECK(got.sentence == "connection refused by 127.0.0.1");
  CHECK_FALSE(got.answered);
}

TEST_CASE("a name with several addresses is tried on all of them") {
  const ClosedPort closed;
  const HttpFailure got = failure(get("http://localhost:" + std::to_string(closed.port) + "/"));
  CHECK(got.fault == HttpFault::refused);
  CHECK(got.sentence.find("127.0.0.1") != std::string::npos);
}

TEST_CASE("a name without an address is a fault of its own") {
  const HttpFailure got = failure(get("http://nothing.invalid/"));
  CHECK(got.fault == HttpFault::dns);
  CHECK_FALSE(got.answered);
}

TEST_CASE("a server that speaks no TLS is a fault of TLS") {
  const ScriptedServer server(ScriptedServer::answers("220 mail.example.org ESMTP\r\n"));
  const HttpFailure got = failure(request({.url = https(server), .insecure = true}));
  CHECK(got.fault == HttpFault::tls);
  CHECK(got.answered);
}

TEST_CASE("a server that does not agree on TLS has answered, all the same") {
  const ScriptedServer server(
      [](const Connection& connection, const std::string&) { connection.wait_for_end(); });
  const HttpFailure got = failure(request({.url = https(server), .insecure = true}, 500ms));
  CHECK(got.fault == HttpFault::timeout);
  CHECK(got.sentence == "connected, but no agreement on TLS within 500ms");
  CHECK(got.answered);
}

TEST_CASE("a certificate of our own that cannot be used is our own fault") {
  const ScriptedServer server(ScriptedServer::answers(""));
  const Scratch scratch;
  scratch.write("ca.pem", "no certificate");
  CHECK(failure(request({.url = https(server), .ca_file = scratch / "ca.pem"})).fault == HttpFault::local);
}

TEST_CASE("the deadline covers whatever does not happen") {
  const auto timed = [](ScriptedServer::Script script) {
    const ScriptedServer server(std::move(script));
    const auto start = Clock::now();
    const HttpFailure got = failure(get(server.url(), 1s));
    const auto took = Clock::now() - start;
    CHECK(took >= 998ms); // libcurl counts whole milliseconds
    CHECK(took < 10s);
    CHECK(got.fault == HttpFault::timeout);
    CHECK(got.answered);
    return got.sentence;
  };
  SECTION("no answer") {
    CHECK(timed([](const Connection& connection, const std::string&) { connection.wait_for_end(); }) ==
          "connected, but no answer within 1s");
  }
  SECTION("half an answer") {
    CHECK(timed([](const Connection& connection, const std::string&) {
            (void)connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
            connection.wait_for_end();
          }) == "200, but the answer did not end within 1s (3 bytes of its body came)");
  }
  SECTION("a chunk without end, byte by byte") {
    (void)timed([](const Connection& connection, const std::string&) {
      if (!connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n")) return;
      while (connection.send("x")) std::this_thread::sleep_for(1ms);
    });
  }
}

TEST_CASE("a deadline that has passed asks nothing") {
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(200, "")));
  auto client = HttpClient::create({.url = parse_url(server.url()).value()});
  REQUIRE(client);
  CHECK(failure(client->request(Deadline::at(Clock::now()))).fault == HttpFault::timeout);
  CHECK(server.requests().empty());
}

TEST_CASE("a connection that is closed too early is a fault of its own") {
  const ScriptedServer nothing([](const Connection&, const std::string&) {});
  CHECK(failure(get(nothing.url())).fault == HttpFault::closed);
  const ScriptedServer half(ScriptedServer::answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
  const HttpFailure got = failure(get(half.url()));
  CHECK(got.fault == HttpFault::closed);
  CHECK(got.answered);
}

TEST_CASE("what is not HTTP is a fault of the protocol") {
  const ScriptedServer mail(ScriptedServer::answers("220 mail.example.org ESMTP\r\n"));
  CHECK(failure(get(mail.url())).fault == HttpFault::protocol);
  const ScriptedServer chunks(
      ScriptedServer::answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"));
  const HttpFault fault = failure(get(chunks.url())).fault;
  CHECK((fault == HttpFault::protocol || fault == HttpFault::closed));
}

TEST_CASE("a status is three digits") {
  for (const char* line : {"HTTP/1.1 2000 OK", "HTTP/1.1 20", "HTTP/1.1 020 OK", "HTTP/1.1 2x0 OK",
                           "HTTP/1.1 200OK", "HTTP/1.1 -200 OK", "HTTP/1.1"}) {
    INFO(line);
    const ScriptedServer server(
        ScriptedServer::answers(std::string(line) + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    const HttpFailure got = failure(get(server.url()));
    CHECK(got.fault == HttpFault::protocol);
    CHECK(got.sentence.starts_with("what answers does not speak HTTP ("));
  }
  for (const char* line : {"HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.0 200 all is well"}) {
    INFO(line);
    const ScriptedServer server(
        ScriptedServer::answers(std::string(line) + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    CHECK(response(get(server.url())).status == 200);
  }
}

TEST_CASE("headers without end are cut off") {
  SECTION("many") {
    const ScriptedServer server([](const Connection& connection, const std::string&) {
      if (!connection.send("HTTP/1.1 200 OK\r\n")) return;
      while (connection.send("X-Filler: " + std::string(1000, 'x') + "\r\n")) {
      }
    });
    CHECK(failure(get(server.url())).fault == HttpFault::too_large);
  }
  SECTION("one") {
    const ScriptedServer server([](const Connection& connection, const std::string&) {
      if (!connection.send("HTTP/1.1 200 OK\r\nX-Filler: ")) return;
      while (connection.send(std::string(10000, 'x'))) {
      }
    });
    CHECK(failure(get(server.url())).fault == HttpFault::too_large);
  }
}

TEST_CASE("a body is handed over in pieces where that is asked for, as far as it is wanted") {
  const std::string sent(300'000, 'x');
  const ScriptedServer server(ScriptedServer::answers(ScriptedServer::answer(503, sent)));
  std::string got;
  std::size_t wanted = sent.size() + 1;
  const auto client_request = [&] {
    return request(
        {.url = parse_url(server.url()).value(), .max_body = 1, .on_body = [&](std::string_view piece) {
           got += piece;
           return got.size() < wanted;
         }});
  };
  const HttpResponse whole = response(client_request());
  CHECK(whole.status == 503);
  CHECK(whole.body.empty());
  CHECK_FALSE(whole.body_cut);
  CHECK(got == sent);

  got.clear();
  wanted = 1;
  CHECK(response(client_request()).body_cut);
  CHECK(got.size() < sent.size());
}

TEST_CASE("a body is read up to its limit and not decoded") {
  const ScriptedServer server([](const Connection& connection, const std::string&) {
    if (!connection.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")) return;
    while (connection.send(std::string(65536, 'x'))) {
    }
  });
  const HttpResponse got = response(get(server.url()));
  CHECK(got.status == 200);
  CHECK(got.body_cut);
  CHECK(got.body.size() == default_max_body);
  const HttpResponse small = response(request({.url = parse_url(server.url()).value(), .max_body = 10}));
  CHECK(small.body == "xxxxxxxxxx");
}
