#include "catch.hpp"
#include "checks/environment_check.hpp"
#include "checks/make.hpp"
#include "environment_file.hpp"
#include "scratch.hpp"

#include <filesystem>
#include <map>

using namespace safe_deploy;

namespace {

using Assignments = std::map<std::string, std::string>;

Assignments assignments(std::string_view text) {
  Assignments all;
  REQUIRE(read_environment_file(
      text, [&](std::string_view name, std::string_view value) { all[std::string(name)] = value; }));
  return all;
}

UnitState unit() {
  UnitState state;
  state.name = "demo.service";
  state.load_state = "loaded";
  return state;
}

Answer judged(const UnitState& state, const std::vector<std::string>& names,
              const std::vector<std::string>& for_all = {}) {
  FileApart files;
  return EnvironmentCheck::judge(
      state, names, [&] { return Result<std::vector<std::string>>(for_all); }, files, Deadline::never());
}

} // namespace

TEST_CASE("an environment file is read as systemd reads it") {
  CHECK(assignments("A=1\nB = two words \n  C=3") == Assignments{{"A", "1"}, {"B", "two words"}, {"C", "3"}});
  CHECK(assignments("# A=1\n; B=2\n\n \t# C=3\nD=4 # no comment") == Assignments{{"D", "4 # no comment"}});
  CHECK(assignments("A=1\nA=2\nA=\n") == Assignments{{"A", ""}});
  CHECK(assignments("A\nexport B=2\n=3\n") == Assignments{{"export B", "2"}});
  CHECK(assignments("A=1\r\nB=2\r\n") == Assignments{{"A", "1"}, {"B", "2"}});
  CHECK(assignments("") == Assignments{});
  CHECK(assignments("A") == Assignments{});
  CHECK(assignments("A=") == Assignments{{"A", ""}});
}

TEST_CASE("quotes in an environment file") {
  CHECK(assignments("A='one two '\nB=\" three\"  \nC=''\nD=\"\"") ==
        Assignments{{"A", "one two "}, {"B", " three"}, {"C", ""}, {"D", ""}});
  CHECK(assignments("A='1\n2'\nB=\"1\n2\"") == Assignments{{"A", "1\n2"}, {"B", "1\n2"}});
  CHECK(assignments(R"(A="a\"b\\c\$d\`e\f")") == Assignments{{"A", R"(a"b\c$d`e\f)"}});
  CHECK(assignments(R"(A='a\b')") == Assignments{{"A", R"(a\b)"}});
  CHECK(assignments("A='1' \"2\" 3") == Assignments{{"A", "123"}});
  CHECK(assignments("A=b\"c\"'d'") == Assignments{{"A", "b\"c\"'d'"}});
  CHECK(assignments("A='open\nB=2") == Assignments{{"A", "open\nB=2"}});
  CHECK(assignments("A=\"open\\") == Assignments{{"A", "open\\"}});
}

TEST_CASE("continued lines of an environment file") {
  CHECK(assignments("A=1\\\n2\nB=3") == Assignments{{"A", "12"}, {"B", "3"}});
  CHECK(assignments("A=\"1\\\n2\"") == Assignments{{"A", "12"}});
  CHECK(assignments("A=\\ 1\\ \nB=2") == Assignments{{"A", " 1 "}, {"B", "2"}});
  // What systemd 252 takes for a comment is not taken for an assignment, though 254 would.
  CHECK(assignments("# one \\\nA=1\nB=2") == Assignments{{"B", "2"}});
  CHECK(assignments("A=1\\") == Assignments{{"A", "1"}});
  CHECK(assignments("#\\") == Assignments{});
}

TEST_CASE("what systemd would not read as an environment file is refused") {
  const auto ignore = [](std::string_view, std::string_view) {};
  CHECK_FALSE(read_environment_file(std::string_view("A=1\0B=2", 7), ignore));
  CHECK_FALSE(read_environment_file("A=\xff\n", ignore));
  CHECK_FALSE(read_environment_file("\xc0\x80=1\n", ignore));
  CHECK(read_environment_file("# \xff\nA=1", ignore));
}

TEST_CASE("names are set by Environment=, by files and as credentials") {
  const Scratch scratch;
  scratch.write("env", "TOKEN=hunter2\nPORT=80\n");
  UnitState state = unit();
  state.environment = {"HOST=localhost", "EMPTY=", "PORT="};
  state.environment_files = {{scratch / "env"}};
  state.credentials = {"tls.key"};

  const Answer all = judged(state, {"HOST", "TOKEN", "PORT", "tls.key"});
  CHECK(all.verdict == Verdict::yes);
  CHECK(all.sentence == "demo.service: HOST, TOKEN, PORT, tls.key are set (tls.key as a credential)");

  const Answer some = judged(state, {"HOST", "EMPTY", "OTHER"});
  CHECK(some.verdict == Verdict::no);
  CHECK(some.reason == "not-set");
  CHECK(some.sentence == "demo.service: OTHER is not set, EMPTY is empty");
  CHECK(judged(state, {"EMPTY"}).reason == "empty");
  CHECK(judged(state, {"HOST"}).sentence == "demo.service: HOST is set");
}

TEST_CASE("a later file and UnsetEnvironment= take back what was set") {
  const Scratch scratch;
  scratch.write("1", "A=1\nB=1\nC=1\nD=1\n");
  scratch.write("2", "A=\n");
  UnitState state = unit();
  state.environment_files = {{scratch / "1"}, {scratch / "2"}};
  state.unset_environment = {"B", "C=1", "D=2"};
  CHECK(judged(state, {"A", "B", "C", "D"}).sentence == "demo.service: B, C are not set, A is empty");
}

TEST_CASE("an environment file that is missing is a no unless it may be") {
  const Scratch scratch;
  UnitState state = unit();
  state.environment = {"A=1"};
  state.environment_files = {{scratch / "gone", true}};
  CHECK(judged(state, {"A"}).verdict == Verdict::yes);
  state.environment_files.push_back({scratch / "gone", false});
  const Answer missing = judged(state, {"A"});
  CHECK(missing.verdict == Verdict::no);
  CHECK(missing.reason == "file");
  CHECK(missing.sentence ==
        "demo.service: its EnvironmentFile= " + scratch / "gone" + " is missing: systemd would not start it");
  state.environment_files = {{scratch / "*.env", false}};
  CHECK(judged(state, {"A"}).reason == "file");
}

TEST_CASE("an environment file may be a pattern") {
  const Scratch scratch;
  scratch.write("a.env", "A=1\nB=1\n");
  scratch.write("b.env", "B=\nC=1\n");
  UnitState state = unit();
  state.environment_files = {{scratch / "*.env"}};
  CHECK(judged(state, {"A", "C"}).verdict == Verdict::yes);
  CHECK(judged(state, {"B"}).reason == "empty");
}

TEST_CASE("an environment file that cannot be looked at is skipped, never ok") {
  const Scratch scratch;
  scratch.write("large", "A=1\n" + std::string(2UL << 20U, 'x'));
  std::filesystem::create_directory(scratch / "directory");
  UnitState state = unit();
  state.environment = {"A=1"};
  for (const char* name : {"large", "directory"}) {
    state.environment_files = {{scratch / name}};
    const Answer answer = judged(state, {"A"});
    CHECK(answer.verdict == Verdict::skipped);
    CHECK(answer.reason == "unreadable");
    CHECK(answer.sentence.find(scratch / name) != std::string::npos);
  }
  // One that keeps the unit from starting counts more.
  state.environment_files.push_back({scratch / "gone"});
  CHECK(judged(state, {"A"}).verdict == Verdict::no);
  // No file is asked for what is given already.
  state.credentials = {"A"};
  CHECK(judged(state, {"A"}).verdict == Verdict::yes);
}

TEST_CASE("no value is told, whatever is wrong") {
  const Scratch scratch;
  scratch.write("env", "TOKEN=hunter2\n\xff=hunter2\n");
  UnitState state = unit();
  state.environment = {"A=hunter2"};
  state.environment_files = {{scratch / "env"}};
  const Answer answer = judged(state, {"TOKEN", "A", "B"});
  CHECK(answer.reason == "file");
  CHECK(answer.sentence.find("hunter2") == std::string::npos);
  CHECK(judged(state, {"TOKEN"}).sentence.find("is not UTF-8 text") != std::string::npos);
}

TEST_CASE("a list of names that is none is an error of the configuration") {
  for (const char* names : {"", "A,", "A B", "A=1", "a/b", "..", "ä"}) {
    INFO(names);
    CHECK(judge::environment_names(names) != "");
  }
  CHECK(judge::environment_names("A, B_2, tls.key, db-password") == "");
  CheckSection section;
  section.kind = "environment";
  section.settings = {{"environment", "A_${release}", {"demo.conf", 7}}};
  CHECK(make_check(section, {.app = "demo", .release = "v1"}));
  const auto wrong = make_check(section, {.app = "demo", .release = "v 1"});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().outcome() == Outcome::bad_config);
  CHECK(wrong.error().text().find("demo.conf:7: environment: 'A_v 1' is no name") == 0);
}

TEST_CASE("what systemd gives to all services is set unless the unit says otherwise") {
  UnitState state = unit();
  state.environment = {"A=1"};
  CHECK(judged(state, {"A", "LANG"}, {"LANG=C", "A="}).good());
  state.unset_environment = {"LANG"};
  CHECK(judged(state, {"LANG"}, {"LANG=C"}).reason == "not-set");
  FileApart files;
  const Answer unknown = EnvironmentCheck::judge(
      state, {"B"},
      []() -> Result<std::vector<std::string>> { return fail_errno("systemd", "gone", ECONNRESET); }, files,
      Deadline::never());
  CHECK(unknown.verdict == Verdict::skipped);
  CHECK(unknown.reason == "systemd");
}

TEST_CASE("what PassEnvironment= and ImportCredential= may give is not known, and no objection") {
  UnitState state = unit();
  state.environment = {"A=1"};
  state.pass_environment = {"TOKEN", "A"};
  state.import_credentials = {"db.*"};
  const Answer answer = judged(state, {"A", "TOKEN", "db.key"});
  CHECK(answer.verdict == Verdict::skipped);
  CHECK(answer.reason == "unknown");
  CHECK(answer.sentence ==
        "demo.service: what PassEnvironment= or ImportCredential= gives as TOKEN, db.key is not known");
  CHECK(judged(state, {"A"}).good());
  CHECK(judged(state, {"TOKEN", "B"}).sentence == "demo.service: B is not set");
  state.unset_environment = {"TOKEN"};
  CHECK(judged(state, {"TOKEN"}).reason == "not-set");
}

TEST_CASE("a credential whose source is missing keeps the unit from starting") {
  const Scratch scratch;
  scratch.write("there", "x");
  UnitState state = unit();
  const auto with = [&](const std::string& path, std::vector<std::string> set = {}) {
    state.credentials = {"key"};
    state.loaded_credentials = {{"key", path}};
    state.set_credentials = std::move(set);
    return judged(state, {"key"});
  };
  CHECK(with(scratch / "there").good());
  CHECK(with("other-credential").good());
  CHECK(with(scratch / "gone", {"key"}).good());
  const Answer missing = with(scratch / "gone");
  CHECK(missing.verdict == Verdict::no);
  CHECK(missing.reason == "credential");
  CHECK(missing.sentence == "demo.service: " + scratch / "gone" +
                                " of its LoadCredential=key is missing: systemd would not start it");
}
