#include "target.hpp"

#include "catch.hpp"

#include <string>

using namespace safe_deploy;

namespace {

Target good(const std::string& text) {
  INFO(text);
  auto target = parse_target(text);
  if (!target) FAIL(target.error().text());
  return *target;
}

std::string fault(const std::string& text) {
  INFO(text);
  const auto target = parse_target(text);
  REQUIRE_FALSE(target);
  CHECK(target.error().outcome() == Outcome::usage);
  CHECK_FALSE(target.error().subject.empty());
  return target.error().problem;
}

} // namespace

TEST_CASE("a bare port means this machine") {
  const Target target = good("9000");
  CHECK(target.kind == Target::Kind::port);
  CHECK(target.protocol == Protocol::tcp);
  CHECK(target.port == 9000);
  CHECK(target.text == "9000");
  CHECK(good("1").port == 1);
  CHECK(good("65535").port == 65535);
}

TEST_CASE("an address is told from a name") {
  CHECK(good("127.0.0.1:80").kind == Target::Kind::address);
  CHECK(good("127.0.0.1:80").address == Address::v4_loopback());
  CHECK(good("0.0.0.0:80").address == Address::v4_any());
  CHECK(good("[::1]:80").address == Address::v6_loopback());
  CHECK(good("[::]:80").address == Address::v6_any());
  CHECK(good("db:5432").kind == Target::Kind::name);
  CHECK(good("db:5432").name == "db");
  CHECK(good("a_b.example.org.:443").name == "a_b.example.org.");
  CHECK(good("1.example:1").kind == Target::Kind::name);
}

TEST_CASE("IPv4 written as IPv6 is IPv4") {
  CHECK(good("[::ffff:127.0.0.1]:80").address == Address::v4_loopback());
}

TEST_CASE("UDP is said in front") {
  CHECK(good("udp:53").protocol == Protocol::udp);
  CHECK(good("udp:53").kind == Target::Kind::port);
  CHECK(good("udp:127.0.0.1:53").kind == Target::Kind::address);
  CHECK(good("udp:[::1]:53").address.v6);
  CHECK(good("udp:ns.example:53").name == "ns.example");
}

TEST_CASE("unix sockets have a path or an abstract name") {
  CHECK(good("unix:/run/x.sock").kind == Target::Kind::unix_path);
  CHECK(good("unix:/run/x.sock").name == "/run/x.sock");
  CHECK(good("unix:x").name == "x");
  CHECK(good("unix:@bus").kind == Target::Kind::unix_abstract);
  CHECK(good("unix:@bus").name == "bus");
  CHECK(good("unix:./@bus").kind == Target::Kind::unix_path);
  CHECK(good("unix:/a:b").name == "/a:b");
  CHECK(good("unix:" + std::string(107, 'x')).name.size() == 107);
  CHECK(fault("unix:") == "the path is missing");
  CHECK(fault("unix:@") == "the path is missing");
  CHECK(fault("unix:/run/") == "the path of a unix socket is no directory");
  CHECK(fault("unix:" + std::string(108, 'x')) == "the path of a unix socket has at most 107 bytes");
  CHECK(fault(std::string("unix:a\0b", 8)) == "not a path");
}

TEST_CASE("a port that is none is refused") {
  for (const char* text : {"0", "65536", "80x", "00", "99999999999999999999", "9000 ", " 9000", "+80", "0x50",
                           "127.0.0.1:0", "127.0.0.1:65536", "host:80x", "[::1]:0", "udp:0", "udp:70000"})
    CHECK(fault(text).find("is not a port: 1 to 65535") != std::string::npos);
  for (const char* text : {"127.0.0.1:", "host:", "[::1]:", "udp:", "udp:host:"})
    CHECK(fault(text) == "the port is missing");
  CHECK(fault("") == "not a port");
  CHECK(fault("-1").find("is not a port") != std::string::npos);
  CHECK(fault("localhost") == "the port is missing: HOST:PORT");
}

TEST_CASE("an IPv6 address needs its brackets and its port") {
  CHECK(fault("[::1]") == "the port is missing: [V6]:PORT");
  CHECK(fault("[::1") == "']' is missing");
  CHECK(fault("[::1]80") == "':' must follow ']'");
  CHECK(fault("::1:80") == "write an IPv6 address in brackets: [V6]:PORT");
  CHECK(fault("fe80::1:80") == "write an IPv6 address in brackets: [V6]:PORT");
  CHECK(fault("[127.0.0.1]:80") == "not an IPv6 address");
  CHECK(fault("[]:80") == "not an IPv6 address");
  CHECK(fault("[::g]:80") == "not an IP address");
  CHECK(fault("a:b:80") == "not PORT, HOST:PORT, [V6]:PORT, udp:... or unix:PATH");
}

TEST_CASE("a link-local address needs an interface that exists") {
  CHECK(fault("[fe80::1]:80").find("needs its interface") != std::string::npos);
  CHECK(fault("[fe80::1%]:80") == "no such interface behind '%'");
  CHECK(fault("[fe80::1%no-such-if]:80") == "no such interface behind '%'");
  CHECK(fault("[fe80::1%0]:80") == "no such interface behind '%'");
  CHECK(fault("[::1%lo]:80") == "only a link-local address has an interface behind '%'");
  CHECK(good("[fe80::1%lo]:80").address.scope == 1);
  CHECK(good("[fe80::1%1]:80").address.scope == 1);
  CHECK(good("[fe80::1%lo]:80").address.text() == "fe80::1%lo");
}

TEST_CASE("a name that cannot be valid is refused") {
  CHECK(fault(std::string(300, 'a') + ":80") == "a host name has at most 253 characters");
  CHECK(fault(std::string(64, 'a') + ":80") == "a part of the host name has more than 63 characters");
  CHECK(fault(":80") == "the host is missing");
  CHECK(fault(".:80") == "the host is missing");
  CHECK(fault("a..b:80") == "a part of the host name is empty");
  CHECK(fault(".a:80") == "a part of the host name is empty");
  CHECK(fault("-a:80") == "a part of the host name starts or ends with '-'");
  CHECK(fault("a-:80") == "a part of the host name starts or ends with '-'");
  CHECK(fault("a b:80") == "not a host name");
  CHECK(fault("http://a:80") == "not PORT, HOST:PORT, [V6]:PORT, udp:... or unix:PATH");
  CHECK(fault("a/b:80") == "not a host name");
  CHECK(fault("b\xc3\xbc"
              "cher.example:80") == "write the host name in its ASCII form (xn--...)");
  for (const char* text : {"1.2.3:80", "999.1.1.1:80", "1.2.3.4.5:80", "127.1:80", "010.0.0.1:80"})
    CHECK(fault(text) == "not an IP address");
  CHECK(fault("a.1:80") == "not an IPv4 address");
}

TEST_CASE("hostile text does not get into the message as it is") {
  const auto target = parse_target("a\x1b[31m\n:80");
  REQUIRE_FALSE(target);
  CHECK(target.error().text().find('\x1b') == std::string::npos);
  CHECK(target.error().text().find('\n') == std::string::npos);
}

TEST_CASE("a family that the target is not of is a usage error") {
  CHECK(check_family(good("[::1]:80"), Family::v6));
  CHECK(check_family(good("127.0.0.1:80"), Family::v4));
  CHECK(check_family(good("db:80"), Family::v4));
  CHECK(check_family(good("80"), Family::v6));
  REQUIRE_FALSE(check_family(good("[::1]:80"), Family::v4));
  CHECK(check_family(good("127.0.0.1:80"), Family::v6).error().outcome() == Outcome::usage);
}

TEST_CASE("localhost needs no resolver") {
  for (const char* name : {"localhost", "LocalHost", "localhost.", "db.localhost"}) CHECK(is_localhost(name));
  for (const char* name : {"localhost.example", "mylocalhost", "ocalhost", ""})
    CHECK_FALSE(is_localhost(name));
}
