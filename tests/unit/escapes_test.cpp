#include "escapes.hpp"

#include "catch.hpp"

using namespace safe_deploy;

TEST_CASE("escapes stand for bytes") {
  CHECK(parse_escapes("").value().empty());
  CHECK(parse_escapes("plain").value() == "plain");
  CHECK(parse_escapes("PING\\r\\n").value() == "PING\r\n");
  CHECK(parse_escapes("\\t\\\\\\0.").value() == std::string("\t\\\0.", 4));
  CHECK(parse_escapes("\\x00\\xFf\\x7a").value() == std::string("\0\xffz", 3));
  CHECK(parse_escapes("\\x20a").value() == " a");
}

TEST_CASE("another escape is a usage error that shows it") {
  for (const char* text :
       {"\\", "a\\", "\\q", "\\x", "\\x1", "\\xg0", "\\x0g", "\\x-1", "\\x+1", "\\R", "\\ "}) {
    INFO(text);
    const auto parsed = parse_escapes(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().outcome() == Outcome::usage);
  }
  CHECK(parse_escapes("ab\\qcd").error().text() ==
        "'\\qcd': begins with no escape that there is: \\r, \\n, \\t, \\\\, \\0 and \\xNN");
}

TEST_CASE("what is quoted comes back as it was") {
  const std::string text = "v1\\x20\\\\ \n";
  CHECK(parse_escapes(quote_for_escapes(text)).value() == text);
}
