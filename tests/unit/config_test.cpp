#include "config.hpp"

#include "catch.hpp"
#include "policy.hpp"
#include "scratch.hpp"

#include <sys/stat.h>
#include <unistd.h>

using namespace safe_deploy;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

// The files APP.conf, drop-in 1, drop-in 2 ... of an app called demo, given by their texts.
template <class... Texts>
Result<Config> parse(const Texts&... texts) {
  std::vector<IniFile> files;
  const auto add = [&](const std::string& text) {
    files.push_back({files.empty() ? "demo.conf" : std::to_string(files.size()) + ".conf", text});
  };
  (add(texts), ...);
  return parse_config("demo", files);
}

// The error of the files; its outcome must be bad_config.
template <class... Texts>
std::string error(const Texts&... texts) {
  const auto config = parse(texts...);
  if (config) return "";
  CHECK(config.error().outcome() == Outcome::bad_config);
  return config.error().text();
}

bool begins(const std::string& text, const std::string& with) {
  INFO(text);
  CHECK(text.substr(0, with.size()) == with);
  return text.compare(0, with.size(), with) == 0;
}

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

std::vector<std::string> settings(const CheckSection& check) {
  std::vector<std::string> all;
  for (const auto& setting : check.settings) all.push_back(setting.key + "=" + setting.value);
  return all;
}

using Strings = std::vector<std::string>;

const std::string api = "[check api]\nhttp = http://127.0.0.1:9000/health\n";

} // namespace

// ---- What is understood

TEST_CASE("an empty configuration is all defaults") {
  const auto config = parse("");
  REQUIRE(config);
  CHECK(config->app == "demo");
  CHECK(config->file == "demo.conf");
  CHECK(config->unit == "demo.service");
  CHECK(config->pattern == "*");
  CHECK(config->link.empty());
  CHECK(config->checks.empty());
}

TEST_CASE("every key of the plain sections reaches its place") {
  const auto config = parse(R"([app]
unit = bridge-production.service
link = /srv/bridge/current
releases = /srv/bridge/releases
pattern = dist.*
require = bin/server, package.json
[port]
listen = 127.0.0.1:9000
free-timeout = 15s
[health]
timeout = 90s
attempts = 10
interval = 3s
[preflight]
disk-used-max = 75%
memory-available-min = 1G
)");
  REQUIRE(config);
  CHECK(config->unit == "bridge-production.service");
  CHECK(config->link == "/srv/bridge/current");
  CHECK(config->releases == "/srv/bridge/releases");
  CHECK(config->pattern == "dist.*");
  CHECK(config->require == Strings{"bin/server", "package.json"});
  CHECK(config->listen == "127.0.0.1:9000");
  CHECK(config->free_timeout == 15s);
  CHECK(config->health_timeout == 90s);
  CHECK(config->health_attempts == 10);
  CHECK(config->health_interval == 3s);
  CHECK(config->disk_used_max == 75);
  CHECK(config->memory_available_min == 1ULL << 30U);
  CHECK(config->needs_releases());
}

TEST_CASE("a check has a kind, and what its kind and every check takes") {
  const auto config = parse(R"([check api]
when = health, watch, monitor
level = warning
attempts = 3
interval = 500ms
timeout = 2s
description = The API answers
expect-json = .status == "healthy"
http = http://127.0.0.1:9000/api/health
expect-json = .services.redis.status == "connected"
  and (.services.queue | length) < 10
)");
  REQUIRE(config);
  REQUIRE(config->checks.size() == 1);
  const auto& check = config->checks.front();
  CHECK(check.name == "api");
  CHECK(check.kind == "http");
  CHECK(check.place.text() == "demo.conf:1");
  CHECK_FALSE(check.preflight);
  CHECK(check.health);
  CHECK(check.watch);
  CHECK(check.monitor);
  CHECK(check.warning_only);
  CHECK(check.attempts == 3U);
  CHECK(check.interval == Duration(500ms));
  CHECK(check.timeout == Duration(2s));
  CHECK(check.description == "The API answers");
  CHECK(settings(check) ==
        Strings{"http=http://127.0.0.1:9000/api/health", "expect-json=.status == \"healthy\"",
                "expect-json=.services.redis.status == \"connected\" and (.services.queue | length) < 10"});
  CHECK(check.settings[0].place.text() == "demo.conf:9");
}

TEST_CASE("a check that does not say when is asked by preflight") {
  const auto config = parse(api);
  REQUIRE(config);
  const auto& check = config->checks.front();
  CHECK(check.preflight);
  CHECK_FALSE(check.health);
  CHECK_FALSE(check.warning_only);
  CHECK_FALSE(check.attempts);
}

TEST_CASE("the checks come in the order in which they are written") {
  const auto config =
      parse("[check b]\nlistening = 1\n[check a]\nlistening = 2\n", "[check 0]\nlistening = 3\n");
  REQUIRE(config);
  Strings names;
  for (const auto& check : config->checks) names.push_back(check.name);
  CHECK(names == Strings{"b", "a", "0"});
}

TEST_CASE("a timeout of 0 or infinity is without limit") {
  for (const char* text : {"0", "0s", "infinity"}) {
    const auto config = parse("[port]\nfree-timeout = "s + text + "\n[health]\ntimeout = " + text);
    REQUIRE(config);
    CHECK(config->free_timeout == without_limit);
    CHECK(config->health_timeout == without_limit);
  }
}

TEST_CASE("slashes too many in a path are left out") {
  const auto config = parse("[app]\nlink = /srv//demo/current/\nreleases = /srv/demo/a b /\n");
  REQUIRE(config);
  CHECK(config->link == "/srv/demo/current");
  CHECK(config->releases == "/srv/demo/a b ");
}

TEST_CASE("the releases may be in the directory that holds the link") {
  CHECK(parse("[app]\nlink = /srv/demo/current\nreleases = /srv/demo\n"));
}

TEST_CASE("the defaults that are told are those that are used") {
  for (const auto& key : known_keys()) {
    const bool of_a_kind = key.section.find(' ') != std::string::npos; // kinds_test.cpp
    if (key.otherwise.empty() || key.otherwise == "APP.service" || of_a_kind) continue;
    INFO(key.section << " " << key.key);
    const std::string written = key.section == "check" ? api : "[" + key.section + "]\n";
    const std::string unwritten = key.section == "check" ? api : "";
    const auto with = parse(written + key.key + " = " + key.otherwise);
    const auto without = parse(unwritten);
    REQUIRE(with);
    REQUIRE(without);
    CHECK(with->pattern == without->pattern);
    CHECK(with->free_timeout == without->free_timeout);
    CHECK(with->health_timeout == without->health_timeout);
    CHECK(with->health_interval == without->health_interval);
    CHECK(with->disk_used_max == without->disk_used_max);
    CHECK(with->memory_available_min == without->memory_available_min);
    if (key.section != "check") continue;
    const auto& check = with->checks.front();
    CHECK(check.preflight == without->checks.front().preflight);
    CHECK(check.warning_only == without->checks.front().warning_only);
    const Asked unasked{};
    CHECK(check.attempts.value_or(unasked.attempts) == unasked.attempts);
    CHECK(check.interval.value_or(unasked.interval) == unasked.interval);
    CHECK(check.timeout.value_or(unasked.attempt_timeout) == unasked.attempt_timeout);
  }
}

// ---- What is not understood

TEST_CASE("an unknown section is an error that names the known ones") {
  begins(error("[app]\n[helth]\n"),
         "demo.conf:2: unknown section [helth]; there are [app], [port], [health], "
         "[watch], [preflight] and [check NAME]");
  begins(error("[App]\n"), "demo.conf:1: unknown section [App]");
  begins(error("[check]\n"), "demo.conf:1: unknown section [check]");
  begins(error("[checks x]\n"), "demo.conf:1: unknown section [checks x]");
}

TEST_CASE("an unknown key is an error that names what was meant") {
  CHECK(error("[app]\n\nlnk = /x\n") == "demo.conf:3: unknown key 'lnk' in [app]; did you mean 'link'?");
  CHECK(error("[port]\nxxxxxxx = 1\n") ==
        "demo.conf:2: unknown key 'xxxxxxx' in [port]; there are listen, free-timeout");
  begins(error(api + "expect_status = 200\n"),
         "demo.conf:3: unknown key 'expect_status' in [check api]; did you mean 'expect-status'?");
  CHECK(error("[check a]\nlistening = 9000\nlevle = warning\n") ==
        "demo.conf:3: unknown key 'levle' in [check a]; did you mean 'level'?");
  CHECK(error("[check a]\nthreshold = 5\ndisk = /\n") ==
        "demo.conf:2: unknown key 'threshold' in [check a]; there are disk, used-max, when, level, required, "
        "attempts, interval, timeout, description");
  CHECK(error("[check a]\nthreshold = 5\n") ==
        "demo.conf:2: unknown key 'threshold' in [check a]; there are when, level, required, attempts, "
        "interval, timeout, description, and those of each kind of check");
  begins(error("[app]\nUnit = a.service\n"), "demo.conf:2: unknown key 'Unit'");
  begins(error("[health]\nlisten = 9000\n"), "demo.conf:2: unknown key 'listen' in [health]");
}

TEST_CASE("a key of another kind of check is an error that names the kind's own") {
  CHECK(error("[check a]\nlistening = 9000\nexpect-json = .x\n") ==
        "demo.conf:3: 'expect-json' is no key of a check of kind 'listening', which takes listening");
}

TEST_CASE("a check without a kind or with two is an error") {
  begins(error("[check a]\nlevel = warning\n"),
         "demo.conf:1: [check a] does not say what to check: it needs one of http, ");
  begins(error("[check a]\n"), "demo.conf:1: [check a] does not say what to check");
  CHECK(error("[check a]\nhttp = http://h/\nlistening = 9000\n") ==
        "demo.conf:3: 'listening' and 'http' (demo.conf:2) in [check a]: a check has one kind");
}

TEST_CASE("a check's name can be an option's value and a label") {
  for (const char* name : {"", " ", "a b", "-a", "a/b", ".a", "\xc3\xbc", "a\"b"}) {
    INFO(name);
    holds(error("[check "s + name + "]\nlistening = 1\n"), "demo.conf:1: ");
  }
  CHECK(parse("[check A.b_c-d@1]\nlistening = 1\n"));
}

TEST_CASE("a check does not have the name of one that always exists") {
  for (const char* name : {"unit", "disk", "releases", "unit-file", "start-timeout", "rollback"}) {
    INFO(name);
    CHECK(error("[check "s + name + "]\nlistening = 1\n") ==
          "demo.conf:1: [check "s + name + "]: '" + name + "' is the name of a check that always exists");
  }
  CHECK(parse("[check disks]\nlistening = 1\n"));
}

TEST_CASE("a key that does not repeat is set once in a file") {
  CHECK(error("[health]\nattempts = 1\nattempts = 2\n") ==
        "demo.conf:3: 'attempts' is set in line 2 already, and does not repeat");
  CHECK(error(api + "http = http://other/\n") ==
        "demo.conf:3: 'http' is set in line 2 already, and does not repeat");
  CHECK(error(api + "level = warning\nlevel = warning\n") ==
        "demo.conf:4: 'level' is set in line 3 already, and does not repeat");
  CHECK(parse(api + "header = A: 1\nheader = A: 1\n"));
}

TEST_CASE("a key has a value") {
  CHECK(error("[app]\nlink =\n") == "demo.conf:2: 'link' has no value");
  CHECK(error("[app]\nlink = ; nothing\n") == "demo.conf:2: 'link' has no value");
  CHECK(error("[check a]\nhttp =\n") == "demo.conf:2: 'http' has no value");
}

TEST_CASE("a bad value is an error with its line and what would be right") {
  const auto app = [](const std::string& line) { return error("[app]\n" + line); };
  begins(app("unit = demo"), "demo.conf:2: unit: 'demo' is not a unit's name (such as demo.service)");
  begins(app("unit = demo.socket"), "demo.conf:2: unit: 'demo.socket' is not a service");
  begins(app("unit = a b.service"), "demo.conf:2: unit: 'a b.service' is not a unit's name");
  begins(app("unit = demo@.service"), "demo.conf:2: unit: 'demo@.service' is a template");
  begins(app("link = current"), "demo.conf:2: link: 'current' is not an absolute path");
  begins(app("link = /srv/../current"), "demo.conf:2: link: '/srv/../current' must not contain . or ..");
  begins(app("link = /srv/current # the link"), "demo.conf:2: link: a comment begins with ';'");
  begins(app("link = /"), "demo.conf:2: link: '/' is no place for it");
  begins(app("releases = ./releases"), "demo.conf:2: releases: './releases' is not an absolute path");
  begins(app("pattern = v1/*"), "demo.conf:2: pattern: 'v1/*' holds a '/'");
  begins(app("require = a,,b"), "demo.conf:2: require: an entry of the list is empty");
  begins(app("require = a,"), "demo.conf:2: require: an entry of the list is empty");
  begins(app("require = /bin/sh"), "demo.conf:2: require: '/bin/sh' is not a path within a release");
  begins(app("require = a/../../b"), "demo.conf:2: require: 'a/../../b' is not a path within a release");
  for (const char* attempts : {"0", "-1", "five", "1.5", "1000001", "99999999999999999999", "5 # five"})
    begins(error("[health]\nattempts = "s + attempts),
           "demo.conf:2: attempts: '"s + attempts + "' is not a whole number from 1 to 1000000");
  begins(app("link = /srv/${app}/current"), "demo.conf:2: link: ${...} stands for something in checks only");
}

TEST_CASE("a value out of its range is an error") {
  const auto health = [](const std::string& line) { return error("[health]\n" + line); };
  begins(health("timeout = -1"), "demo.conf:2: timeout: '-1' is not a duration");
  begins(health("timeout = soon"), "demo.conf:2: timeout: 'soon' is not a duration");
  begins(health("timeout = 5s # five"), "demo.conf:2: timeout: '5s # five' is not a duration");
  begins(health("attempts = 0"), "demo.conf:2: attempts: '0' is not a whole number from 1 to");
  for (const char* interval : {"0", "infinity"})
    begins(health("interval = "s + interval),
           "demo.conf:2: interval: '"s + interval + "' is not a duration of more");
  begins(error("[preflight]\ndisk-used-max = 101%"),
         "demo.conf:2: disk-used-max: '101%' is not a percentage");
  begins(error("[preflight]\ndisk-used-max = 0%"), "demo.conf:2: disk-used-max: '0%' is never met");
  begins(error("[preflight]\nmemory-available-min = much"),
         "demo.conf:2: memory-available-min: 'much' is not a size");
  begins(error(api + "level = fatal"), "demo.conf:3: level: 'fatal' is neither critical nor warning");
  begins(error(api + "when = health, always"), "demo.conf:3: when: 'always' is none of preflight, health");
  begins(error(api + "when = health,"), "demo.conf:3: when: '' is none of");
  begins(error(api + "attempts = 0"), "demo.conf:3: attempts: '0' is not");
  begins(error(api + "interval = 0"), "demo.conf:3: interval: '0' is not");
  begins(error(api + "timeout = 1y"), "demo.conf:3: timeout: '1y' is not");
}

TEST_CASE("what [port] listen takes is a port, with a host or without, or a unix socket") {
  for (const char* target :
       {"9000", "127.0.0.1:9000", "localhost:9000", "[::1]:9000", "unix:/run/demo.sock"}) {
    INFO(target);
    const auto config = parse("[port]\nlisten = "s + target);
    REQUIRE(config);
    CHECK(config->listen == target);
  }
  for (const char* target :
       {"0", "65536", "-1", "80x", "::1", "[::1]", "host:", ":80", "unix:", "http://h:1/"}) {
    INFO(target);
    begins(error("[port]\nlisten = "s + target), "demo.conf:2: listen: ");
  }
  CHECK(error("[port]\nlisten = localhost:http") ==
        "demo.conf:2: listen: localhost:http: 'http' is not a port: 1 to 65535");
}

TEST_CASE("a link that cannot be one is an error") {
  begins(error("[app]\nlink = /srv/demo\nreleases = /srv/demo/\n"),
         "demo.conf:2: link: is the directory of the");
  begins(error("[app]\nreleases = /srv/demo\nlink = /srv/demo/v1/current\n"),
         "demo.conf:3: link: '/srv/demo/v1/current' is inside a release");
}

TEST_CASE("what a deploy needs is told where it is missing") {
  const auto config = parse("[app]\nlink = /srv/current\n");
  REQUIRE(config);
  const auto missing = config->needs_releases();
  REQUIRE_FALSE(missing);
  CHECK(missing.error().outcome() == Outcome::bad_config);
  CHECK(missing.error().text() == "demo.conf: [app] releases is not set");
  CHECK(parse("")->needs_releases().error().text() == "demo.conf: [app] link is not set");
}

TEST_CASE("an app whose name makes no unit's name needs one") {
  const std::vector<IniFile> files{{"x@.conf", "[health]\nattempts = 1\n"}};
  const auto config = parse_config("x@", files);
  REQUIRE_FALSE(config);
  begins(config.error().text(),
         "x@.conf: [app] unit must be set, since its default 'x@.service' is a template");
}

TEST_CASE("a key or section that was indented by mistake is not taken for a value") {
  begins(error("[app]\n  unit = a.service\n  link = /srv/current\n"),
         "demo.conf:3: the line is indented, and so continues the value of 'unit'");
  begins(error("[health]\nattempts = 5\n  [port]\nlisten = 1\n"), "demo.conf:3: the line is indented");
  begins(error("[health]\nattempts = 5\n  [check a]\nlistening = 1\n"), "demo.conf:3: the line is indented");
  CHECK(parse(api + "expect-json =\n  [.a, .b]\n  == [1, 2]\n"));
}

TEST_CASE("a jq comment that would hide the rest of a filter is an error") {
  begins(error(api + "expect-json = .a == 1 # first\n  and .b == 2\n"),
         "demo.conf:3: a '#' begins a comment in jq");
  CHECK(parse(api + "expect-json = .color == \"#fff\"\n  and .x == \"a\\\"#\"\n"));
  CHECK(parse(api + "expect-json = .a == 1\n  and .b == 2 # last\n"));
  CHECK(parse(api + "expect-body = a#b\n  c\n"));
}

TEST_CASE("${...} in the values of checks is known") {
  CHECK(parse(api + "expect-json = .version == \"${release}\" and .app == \"${app}\"\n"));
  begins(error(api + "expect-json = .version == \"${version}\"\n"),
         "demo.conf:3: expect-json: only ${app}, ${release} and ${link} stand for something");
  begins(error(api + "expect-json = .version == \"${release\"\n"),
         "demo.conf:3: expect-json: '${' is not closed");
  begins(error("[check a]\ndisk = ${link}\n"), "demo.conf:2: disk: ${link} stands for nothing");
  CHECK(parse("[check a]\ndisk = ${link}\n[app]\nlink = /srv/current\n"));
  // Such a value is judged when it is known.
  CHECK(parse("[check a]\nhttp = ${app}\n"));
}

TEST_CASE("what an error quotes is printable and not too long") {
  begins(error("[app]\nk\tep = 1\n"), "demo.conf:2: unknown key 'k\\x09ep' in [app]");
  std::string endless = "[health]\nattempts = 1\n";
  for (int i = 0; i < 1000; ++i) endless += " 23456789\n";
  const std::string said = error(endless);
  CHECK(said.size() < 1100);
  begins(said, "demo.conf:2: attempts: '1 23456789 23456789");
}

TEST_CASE("what may be a secret is not repeated in an error") {
  const std::string secret = "hunter2";
  for (const std::string& text :
       {api + "bearer = " + secret, api + "header = " + secret,
        "[check a]\nhttp = http://me:" + secret + "@host/", "[check a]\nhttp = ftp://" + secret,
        api + "hedder = Authorization: " + secret, "[app]\n" + secret}) {
    const std::string said = error(text);
    INFO(said);
    CHECK_FALSE(said.empty());
    CHECK(said.find(secret) == std::string::npos);
  }
}

// ---- Drop-ins

TEST_CASE("a later file replaces what an earlier one says") {
  const auto config = parse("[app]\nlink = /srv/a\n[health]\nattempts = 1\n", "[health]\nattempts = 2\n",
                            "[health]\nattempts = 3\n");
  REQUIRE(config);
  CHECK(config->health_attempts == 3);
  CHECK(config->link == "/srv/a");
  // require is one value: the list as a whole.
  CHECK(parse("[app]\nrequire = a, b\n", "[app]\nrequire = c\n")->require == Strings{"c"});
}

TEST_CASE("a later file adds to a key that repeats, and replaces the others of a check") {
  const auto config = parse(api + "expect-json = .a\nlevel = warning\n",
                            "[check api]\nexpect-json = .b\nlevel = critical\nhttp = http://other/\n");
  REQUIRE(config);
  REQUIRE(config->checks.size() == 1);
  const auto& check = config->checks.front();
  CHECK(settings(check) == Strings{"http=http://other/", "expect-json=.a", "expect-json=.b"});
  CHECK_FALSE(check.warning_only);
  CHECK(check.settings[0].place.text() == "1.conf:4");
}

TEST_CASE("an empty value takes back what earlier files say") {
  CHECK(parse("[health]\nattempts = 1\n", "[health]\nattempts =\n")->health_attempts == 0);
  const auto config = parse(api + "expect-json = .a\n", "[check api]\nexpect-json =\nexpect-json = .b\n");
  REQUIRE(config);
  CHECK(settings(config->checks.front()) == Strings{"http=http://127.0.0.1:9000/health", "expect-json=.b"});
  CHECK(error("[health]\nattempts = 1\n", "[app]\nlink =\n") ==
        "1.conf:2: 'link' has no value, and no earlier file has one to take back");
  CHECK(error("[health]\nattempts = 1\n", "[health]\nattempts =\nattempts =\n") ==
        "1.conf:3: 'attempts' has no value, and no earlier file has one to take back");
}

TEST_CASE("an empty value of its kind takes back a whole check") {
  const std::string whole = api + "expect-json = .a\nlevel = warning\n";
  CHECK(parse(whole, "[check api]\nhttp =\n")->checks.empty());
  const auto config = parse(whole, "[check api]\nhttp =\nlistening = 9000\n");
  REQUIRE(config);
  REQUIRE(config->checks.size() == 1);
  CHECK(config->checks.front().kind == "listening");
  CHECK(settings(config->checks.front()) == Strings{"listening=9000"});
  CHECK_FALSE(config->checks.front().warning_only);
  // Without that, the kind cannot change.
  CHECK(error(whole, "[check api]\nlistening = 9000\n") ==
        "1.conf:2: 'listening' and 'http' (demo.conf:2) in [check api]: a check has one kind");
}

TEST_CASE("an error in a drop-in names the drop-in") {
  begins(error("[health]\nattempts = 1\n", "[health]\nattempts = 0\n"), "1.conf:2: attempts: '0' is not");
  begins(error("[health]\nattempts = 1\n", "[health]\nattempts\n"), "1.conf:2: is neither KEY = VALUE");
}

// ---- Files

TEST_CASE("the configuration of an app is its file and its drop-ins in the order of their names") {
  const Scratch scratch;
  scratch.write("demo.conf", "[health]\nattempts = 1\n");
  CHECK(load_config(scratch.path(), "demo")->health_attempts == 1);
  scratch.write("demo.conf.d/20-b.conf", "[health]\nattempts = 3\n");
  scratch.write("demo.conf.d/10-a.conf", "[health]\nattempts = 2\n");
  scratch.write("demo.conf.d/.hidden.conf", "nonsense");
  scratch.write("demo.conf.d/30-c.conf~", "nonsense");
  scratch.write("demo.conf.d/README", "nonsense");
  const auto config = load_config(scratch.path(), "demo");
  REQUIRE(config);
  CHECK(config->health_attempts == 3);
  CHECK(config->file == scratch / "demo.conf");
  CHECK(config->app == "demo");
}

TEST_CASE("a configuration is found by the app's unit") {
  const Scratch scratch;
  scratch.write("bridge.conf", "[app]\nunit = bridge-production.service\n");
  scratch.write("other.conf", "[app]\n");
  CHECK(load_config(scratch.path(), "bridge-production")->app == "bridge");
  CHECK(load_config(scratch.path(), "bridge")->app == "bridge");
  scratch.write("escaped.conf", "[app]\nunit = a\\x2db:c.service\n");
  CHECK(load_config(scratch.path(), "a\\x2db:c")->app == "escaped");

  // The broken configuration of another app is not in the way.
  scratch.write("abroken.conf", "nonsense");
  CHECK(load_config(scratch.path(), "bridge-production")->app == "bridge");

  scratch.write("twin.conf", "[app]\nunit = bridge-production.service\n");
  const auto two = load_config(scratch.path(), "bridge-production");
  REQUIRE_FALSE(two);
  CHECK(two.error().outcome() == Outcome::bad_config);
  CHECK(two.error().text() == "bridge-production.service: is the unit of two apps, in " +
                                  scratch / "bridge.conf" + " and " + scratch / "twin.conf");
  // A file of that name goes before all units.
  scratch.write("bridge-production.conf", "[app]\nunit = x.service\n");
  CHECK(load_config(scratch.path(), "bridge-production")->app == "bridge-production");
}

TEST_CASE("what is no app's name is a usage error") {
  const Scratch scratch;
  for (const std::string& name : {""s, "../demo"s, "a/b"s, ".."s, "a b"s, std::string(200, 'a'), ".demo"s,
                                  "demo\n"s, "-demo"s, "a\\x2db"s, "a\0b"s}) {
    INFO(name);
    const auto config = load_config(scratch.path(), name);
    REQUIRE_FALSE(config);
    CHECK(config.error().outcome() == Outcome::usage);
  }
}

TEST_CASE("a configuration that is missing is told with its path") {
  const Scratch scratch;
  for (const std::string& directory : {scratch.path(), scratch / "missing"}) {
    const auto config = load_config(directory, "demo");
    REQUIRE_FALSE(config);
    CHECK(config.error().outcome() == Outcome::bad_config);
    begins(config.error().text(), directory + "/demo.conf: there is no such configuration");
  }
  scratch.write("broken.conf", "nonsense");
  holds(load_config(scratch.path(), "demo").error().text(), "passed over " + scratch / "broken.conf:1");
  // Drop-ins alone are no configuration.
  scratch.write("demo.conf.d/10.conf", "[app]\n");
  CHECK(load_config(scratch.path(), "demo").error().outcome() == Outcome::bad_config);
}

TEST_CASE("a configuration that is no file, too large or no text is an error at once") {
  const Scratch scratch;
  const auto outcome = [&](const std::string& part) {
    const auto config = load_config(scratch.path(), "demo");
    REQUIRE_FALSE(config);
    holds(config.error().text(), scratch / "demo.conf" + part);
    std::filesystem::remove_all(scratch / "demo.conf");
    return config.error().outcome();
  };
  std::filesystem::create_directory(scratch / "demo.conf");
  CHECK(outcome(": is not a regular file") == Outcome::bad_config);
  REQUIRE(mkfifo((scratch / "demo.conf").c_str(), 0600) == 0);
  CHECK(outcome(": is not a regular file") == Outcome::bad_config);
  std::filesystem::create_symlink("/dev/zero", scratch / "demo.conf");
  CHECK(outcome(": is not a regular file") == Outcome::bad_config);
  std::filesystem::create_symlink("nowhere", scratch / "demo.conf");
  CHECK(outcome(": there is no such configuration") == Outcome::bad_config);
  scratch.write("demo.conf", "[app]\n" + std::string(10'000'000, '\n'));
  CHECK(outcome(": is too large") == Outcome::bad_config);
  scratch.write("demo.conf", "[app]\nlink = /srv/gr\xfcn\n");
  CHECK(outcome(":2: the line is not UTF-8") == Outcome::bad_config);
  scratch.write("demo.conf", "[app]\n" + std::string(200, 'x'));
  CHECK(outcome(":2: the line has 200 bytes") == Outcome::bad_config);
}

TEST_CASE("a drop-in that is none is an error") {
  const Scratch scratch;
  scratch.write("demo.conf", "[app]\n");
  scratch.write("demo.conf.d", "");
  CHECK(load_config(scratch.path(), "demo").error().text() == scratch / "demo.conf.d: is not a directory");
  CHECK(load_config(scratch.path(), "demo").error().outcome() == Outcome::bad_config);
  std::filesystem::remove(scratch / "demo.conf.d");
  std::filesystem::create_directories(scratch / "demo.conf.d/10.conf");
  holds(load_config(scratch.path(), "demo").error().text(), "10.conf: is not a regular file");
  std::filesystem::remove(scratch / "demo.conf.d/10.conf");
  std::filesystem::create_symlink("nowhere", scratch / "demo.conf.d/10.conf");
  CHECK(load_config(scratch.path(), "demo").error().outcome() == Outcome::bad_config);
  holds(load_config(scratch.path(), "demo").error().text(), "10.conf: is a link to nowhere");
}

TEST_CASE("a configuration that may not be read is told with the errno") {
  if (geteuid() == 0) {
    // root may read everything: look through the eyes of nobody. The effective id is this thread's process's.
    REQUIRE(seteuid(65534) == 0);
  }
  {
    const Scratch scratch;
    const std::string file = scratch / "demo.conf";
    scratch.write("demo.conf", "[app]\n");
    REQUIRE(chmod(file.c_str(), 0) == 0);
    const auto config = load_config(scratch.path(), "demo");
    REQUIRE_FALSE(config);
    CHECK(config.error().outcome() == Outcome::os_error);
    CHECK(config.error().text() == file + ": cannot open: Permission denied");
  }
  if (getuid() == 0) REQUIRE(seteuid(0) == 0);
}

TEST_CASE("the apps are the names of the configurations, sorted") {
  const Scratch scratch;
  for (const char* name :
       {"b.conf", "a.conf", "no app.conf", ".c.conf", "d.config", "a-b.conf", "e.conf.d/x.conf"})
    scratch.write(name, "");
  CHECK(list_apps(scratch.path()).value() == Strings{"a", "a-b", "b"});
  CHECK(list_apps(scratch / "missing").value().empty());
  CHECK(list_apps(scratch / "a.conf").error().outcome() == Outcome::bad_config);
}
