#include "checks/expand.hpp"

#include "catch.hpp"

using namespace safe_deploy;

namespace {

CheckContext context() {
  CheckContext context;
  context.app = "demo";
  context.release = "v1.2";
  context.link = "/srv/demo/current";
  return context;
}

} // namespace

TEST_CASE("placeholders are replaced by what they stand for") {
  CHECK(expand("${app} ${release} ${link}", context()).value() == "demo v1.2 /srv/demo/current");
  CHECK(expand("a${app}${app}b", context()).value() == "ademodemob");
  CHECK(expand("nothing: $app {app} $", context()).value() == "nothing: $app {app} $");
  CHECK(expand("", context()).value().empty());
}

TEST_CASE("what a placeholder stands for is not looked at again") {
  auto odd = context();
  odd.release = "${app}";
  CHECK(expand("${release}", odd).value() == "${app}");
}

TEST_CASE("an unknown or open placeholder is an error") {
  for (const char* value : {"${version}", "${}", "${ app}", "a ${app", "${App}", "${app} ${x}"}) {
    INFO(value);
    CHECK(has_placeholder(value));
    CHECK_FALSE(judge_placeholders(value).empty());
    REQUIRE_FALSE(expand(value, context()));
    CHECK(expand(value, context()).error().outcome() == Outcome::bad_config);
  }
  CHECK(judge_placeholders("${app} ${release} ${link}").empty());
  CHECK_FALSE(has_placeholder("$app"));
}

TEST_CASE("a placeholder whose value is not known is a no that says why") {
  auto none = context();
  none.release = "";
  const auto expanded = expand("x ${release}", none);
  REQUIRE_FALSE(expanded);
  CHECK(expanded.error().outcome() == Outcome::no);
  CHECK(expanded.error().text() == "${release}: no release is deployed");
}

TEST_CASE("a value is quoted for where it is put") {
  auto odd = context();
  odd.release = "a\"b\\(c)+ \xc3\xbc";
  CHECK(expand(".v == \"${release}\"", odd, quote_for_json).value() == ".v == \"a\\\"b\\\\(c)+ \xc3\xbc\"");
  CHECK(expand("^${release}$", odd, quote_for_regex).value() == "^a\"b\\\\\\(c\\)\\+ \xc3\xbc$");
  CHECK(expand("/v/${release}", odd, quote_for_url).value() == "/v/a%22b%5C%28c%29%2B%20%C3%BC");
  CHECK(quote_for_json("\x01") == "\\u0001");
}
