#include "name.hpp"

#include "catch.hpp"

using namespace safe_deploy;

TEST_CASE("an app's name can become a file name and a unit's instance") {
  for (const char* name : {"demo", "claude-bridge", "a", "x@1", "App_2.0"}) CHECK(parse_app_name(name));
  for (const std::string& name :
       {std::string(), std::string("../x"), std::string("a/b"), std::string("a b"), std::string(".a"),
        std::string("-a"), std::string("a\n"), std::string(129, 'a')}) {
    INFO(name);
    REQUIRE_FALSE(parse_app_name(name));
    CHECK(parse_app_name(name).error().outcome() == Outcome::usage);
  }
  CHECK(parse_app_name(std::string(128, 'a')));
}

TEST_CASE("a release's name is one directory name") {
  for (const char* name : {"v1", "dist.20260203-123600", "grün"}) CHECK(parse_release_name(name));
  for (const char* name : {"", ".", "..", "a/b", "-f", "a\nb", "\x7f", "a\xff"})
    CHECK_FALSE(parse_release_name(name));
}

TEST_CASE("hostile text is made printable and short") {
  CHECK(printable("gr\xc3\xbcn") == "gr\xc3\xbcn");
  CHECK(printable("a\nb\x1b[31m\xff") == "a\\x0ab\\x1b[31m\\xff");
  CHECK(printable("\xc2\x9b"
                  "2J\xc2\xa0") == "\\xc2\\x9b2J\xc2\xa0");
  CHECK(printable("aaaaaaaaaa", 4) == "aaaa...");
}

TEST_CASE("UTF-8 is judged strictly") {
  CHECK(is_utf8("\xf0\x9f\x98\x80"));
  CHECK_FALSE(is_utf8("\xc0\xaf"));
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));
  CHECK_FALSE(is_utf8("\xe2\x82"));
}
