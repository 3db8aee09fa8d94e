#include "address.hpp"

#include "catch.hpp"
#include "net.hpp"

#include <fcntl.h>

#include <algorithm>

using namespace safe_deploy;

TEST_CASE("addresses are read and written the same way") {
  for (const char* text : {"127.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1"}) {
    INFO(text);
    const auto address = parse_address(text);
    REQUIRE(address);
    CHECK(address->text() == text);
  }
  CHECK(Endpoint{Address::v4_loopback(), 80}.text() == "127.0.0.1:80");
  CHECK(Endpoint{Address::v6_loopback(), 80}.text() == "[::1]:80");
}

TEST_CASE("what kind of address it is") {
  CHECK(Address::v4_any().is_any());
  CHECK(Address::v6_any().is_any());
  CHECK(parse_address("127.5.5.5")->is_loopback());
  CHECK(Address::v6_loopback().is_loopback());
  CHECK_FALSE(Address::v6_any().is_loopback());
  CHECK(parse_address("fe80::1%lo")->is_link_local());
  CHECK_FALSE(parse_address("2001:db8::1")->is_link_local());
}

TEST_CASE("only an address of this machine is local") {
  for (const char* text : {"127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"}) {
    INFO(text);
    CHECK(is_local(*parse_address(text)));
  }
  // TEST-NET-1 and the documentation prefix (RFC 5737, RFC 3849)
  for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
    INFO(text);
    CHECK_FALSE(is_local(*parse_address(text)));
  }
}

TEST_CASE("an address is local where it was added, though any address could be bound") {
  if (!test::is_root()) return;
  CHECK(test::in_child([] {
    test::enter_new_network();
    const Fd nonlocal(open("/proc/sys/net/ipv4/ip_nonlocal_bind", O_WRONLY | O_CLOEXEC));
    if (nonlocal) (void)!write(nonlocal.get(), "1", 1);
    return !is_local(*parse_address("192.0.2.1")) && is_local(*parse_address("127.0.0.1"));
  }));
}

TEST_CASE("without netlink, binding tells what is local") {
  CHECK(test::in_child([] {
    test::forbid_netlink();
    return !is_local(*parse_address("192.0.2.1")) && is_local(*parse_address("127.0.0.1"));
  }));
}

TEST_CASE("names are looked up in both families, or in one") {
  const auto all = resolve("localhost", Family::any);
  REQUIRE(all);
  CHECK(std::find(all->begin(), all->end(), Address::v4_loopback()) != all->end());
  const auto v4 = resolve("localhost", Family::v4);
  REQUIRE(v4);
  CHECK(std::none_of(v4->begin(), v4->end(), [](const Address& address) { return address.v6; }));
}

TEST_CASE("a name that is not found says so and can be asked again") {
  const auto found = resolve("no-such-host.invalid", Family::any); // RFC 6761: never exists
  REQUIRE_FALSE(found);
  CHECK(found.error().outcome() == Outcome::no);
  CHECK(found.error().text().find("no-such-host.invalid: cannot look up the name") == 0);
}

TEST_CASE("a network holds the addresses whose first bits are its own") {
  const auto holds = [](const char* network, const char* address) {
    INFO(network << " " << address);
    return parse_network(network)->contains(*parse_address(address));
  };
  CHECK(holds("10.0.0.0/8", "10.255.0.1"));
  CHECK_FALSE(holds("10.0.0.0/8", "11.0.0.1"));
  CHECK(holds("192.0.2.129/25", "192.0.2.200")); // bits behind the network's are no matter
  CHECK_FALSE(holds("192.0.2.129/25", "192.0.2.1"));
  CHECK(holds("192.0.2.1", "192.0.2.1"));
  CHECK_FALSE(holds("192.0.2.1", "192.0.2.2"));
  CHECK(holds("0.0.0.0/0", "192.0.2.1"));
  CHECK_FALSE(holds("0.0.0.0/0", "::1"));
  CHECK_FALSE(holds("::/0", "192.0.2.1"));
  CHECK(holds("::/0", "2001:db8::1"));
  CHECK(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
  CHECK(holds("2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(holds("2001:db8::/33", "2001:db8:8000::1"));
  CHECK(holds("fe80::/10", "fe80::1%lo"));
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8",
                           "::/129", "host/8"}) {
    INFO(text);
    CHECK_FALSE(parse_network(text));
  }
}
