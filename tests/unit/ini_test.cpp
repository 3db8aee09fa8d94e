#include "ini.hpp"

#include "catch.hpp"
#include "scratch.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

using namespace safe_deploy;
using namespace std::string_literals;

namespace {

Result<std::vector<IniSection>> parse(std::string text) {
  return parse_ini({"x.conf", std::move(text)});
}

// "[section] key=value" of each entry.
std::vector<std::string> entries(const std::string& text) {
  const auto sections = parse(text);
  if (!sections) return {sections.error().text()};
  std::vector<std::string> all;
  for (const auto& section : *sections)
    for (const auto& entry : section.entries)
      all.push_back(fmt::format("[{}] {}={}", section.name, entry.key, entry.value()));
  return all;
}

using Lines = std::vector<std::string>;

// The error of a text; its outcome must be bad_config.
std::string error(const std::string& text) {
  const auto sections = parse(text);
  if (sections) return "";
  CHECK(sections.error().outcome() == Outcome::bad_config);
  return sections.error().text();
}

bool begins(const std::string& text, const std::string& with) {
  return text.compare(0, with.size(), with) == 0;
}

} // namespace

TEST_CASE("an INI file is sections of keys and values") {
  CHECK(entries("[app]\nunit = a.service\nkeep=5\n\n[check x]\nhttp\t=  http://h:1/a=b \n") ==
        Lines{"[app] unit=a.service", "[app] keep=5", "[check x] http=http://h:1/a=b"});
  CHECK(entries("").empty());
  CHECK(entries("\n\n  \n").empty());
  CHECK(entries("[app]").empty());
}

TEST_CASE("line ends of Windows and a byte order mark do no harm") {
  CHECK(entries("\xef\xbb\xbf[app]\r\nkeep = 5\r\n") == Lines{"[app] keep=5"});
}

TEST_CASE("comments begin a line, or follow white space with a semicolon") {
  CHECK(entries("# one\n; two\n  ; three\n[app] ; four\nkeep = 5 ; five\nunit = a#b;c ;six ; seven\n") ==
        Lines{"[app] keep=5", "[app] unit=a#b;c"});
}

TEST_CASE("an indented line continues the value, joined by a space") {
  CHECK(entries("[s]\na = one\n  two\n\tthree ; comment\nb = 1\n") ==
        Lines{"[s] a=one two three", "[s] b=1"});
  CHECK(entries("[s]\na =\n  two\n") == Lines{"[s] a=two"});
  CHECK(entries("[s]\na = one\n\n  ; comment\n# comment\n  two\n") == Lines{"[s] a=one two"});
}

TEST_CASE("after a backslash at its end a line is joined without a space") {
  CHECK(entries("[s]\na = http://host/\\\n  path\n") == Lines{"[s] a=http://host/path"});
  CHECK(entries("[s]\na = one\\\n") == Lines{"[s] a=one\\"});
  CHECK(entries("[s]\na = one\n  two\\\n") == Lines{"[s] a=one two\\"});
}

TEST_CASE("every line of a value is known by its number") {
  const auto sections = parse("\n[s]\n; comment\na = one\n\n  two\nb = 3\n");
  REQUIRE(sections);
  REQUIRE(sections->size() == 1);
  const auto& section = sections->front();
  CHECK(section.place.text() == "x.conf:2");
  REQUIRE(section.entries.size() == 2);
  CHECK(section.entries[0].place.text() == "x.conf:4");
  REQUIRE(section.entries[0].pieces.size() == 2);
  CHECK(section.entries[0].pieces[1].line == 6);
  CHECK(section.entries[1].place.text() == "x.conf:7");
}

TEST_CASE("a line of 199 bytes is read whole, and one of 200 is an error with its line") {
  const std::string longest = "a = " + std::string(195, 'x');
  CHECK(entries("[s]\n" + longest + "\n") == Lines{"[s] a=" + std::string(195, 'x')});
  CHECK(entries("[s]\n" + longest + "\r\nb = 1\n") == Lines{"[s] a=" + std::string(195, 'x'), "[s] b=1"});
  CHECK(begins(error("[s]\nb = 1\n" + longest + "x\n"), "x.conf:3: the line has 200 bytes"));
  CHECK(begins(error("[s]\n;" + std::string(300, 'x')), "x.conf:2: the line has 301 bytes"));
  // A continuation makes a value as long as it needs to be.
  const std::string piece(198, 'y');
  CHECK(entries("[s]\na =\n " + piece + "\n " + piece) == Lines{"[s] a=" + piece + " " + piece});
}

TEST_CASE("a name that inih would cut is an error") {
  const std::string longest(49, 'k');
  CHECK(entries("[" + longest + "]\n" + longest + " = 1\n  2") ==
        Lines{fmt::format("[{}] {}=1 2", longest, longest)});
  CHECK(begins(error("[s]\n" + longest + "k = 1"), "x.conf:2: the key has 50 bytes"));
  CHECK(begins(error("\n[" + longest + "k]"), "x.conf:2: the section's name has 50 bytes"));
}

TEST_CASE("a line that is neither an entry nor a section is an error with its line") {
  CHECK(begins(error("[s]\nnothing\n"), "x.conf:2: is neither KEY = VALUE nor a [section]"));
  CHECK(begins(error("[s]\nlink: /srv\n"), "x.conf:2: is neither KEY = VALUE"));
  CHECK(begins(error("[s]\na ; = b\n"), "x.conf:2: is neither KEY = VALUE"));
  CHECK(begins(error("[s]\n = b\n"), "x.conf:2: there is no key"));
  CHECK(begins(error("a = 1\n"), "x.conf:1: 'a' stands before the first [section]"));
}

TEST_CASE("a section is closed, named, followed by nothing, and there once") {
  CHECK(begins(error("[s\na = 1"), "x.conf:1: a section is written [NAME]"));
  CHECK(begins(error("[s ;]\n"), "x.conf:1: a section is written [NAME]"));
  CHECK(begins(error("[]"), "x.conf:1: the section has no name"));
  CHECK(begins(error("[s] a = 1"), "x.conf:1: only a comment may follow"));
  CHECK(begins(error("[s]\n[t]\n[s]"), "x.conf:3: the section [s] stands in line 1 already"));
}

TEST_CASE("bytes that are no text are an error with their line") {
  CHECK(begins(error("[s]\na = \0b\n"s), "x.conf:2: the line holds a NUL byte"));
  CHECK(begins(error("[s]\na = b\x1b[31m\n"), "x.conf:2: the line holds the control character \\x1b"));
  CHECK(begins(error("[s]\na = b\rc = d\n"), "x.conf:2: the line holds the control character \\x0d"));
  CHECK(begins(error("[s]\n\na = gr\xfcn\n"), "x.conf:3: the line is not UTF-8"));
  CHECK(begins(error("[s]\n# gr\xfcn\n"), "x.conf:2: the line is not UTF-8"));
  CHECK(begins(error("\xff\xfe[\0s\0]\0"s), "x.conf:1: the line"));
  CHECK(entries("[s]\na = gr\xc3\xbcn\n") == Lines{"[s] a=gr\xc3\xbcn"});
}

TEST_CASE("a semicolon that would cut a value off within quotes or brackets is an error") {
  for (const char* value : {"test(\"a\" ; \"i\")", "[.a ; 1]", "{a ;", ".x == \"a ; b\"", "sh -c 'a ; b'",
                            "\"a\\\" ; \"", "(.a)\n  | test(.b ; 1)", "f(.a\n  ; 1)"}) {
    INFO(value);
    CHECK(error("[s]\na = "s + value).find("begins a comment") != std::string::npos);
  }
  CHECK(entries("[s]\na = test(\"a\"; \"i\") ; comment\n") == Lines{"[s] a=test(\"a\"; \"i\")"});
  CHECK(entries("[s]\na = it's well ; isn't it\n") == Lines{"[s] a=it's well"});
  CHECK(entries("[s]\na = f(.a;\n  .b)\n  # comment\n  ; comment\n") == Lines{"[s] a=f(.a; .b)"});
  CHECK(begins(error("[s]\na = f(1,\n  2 ; 3)\n"), "x.conf:3: a ';' after white space"));
}

// With anything quadratic the test's time limit would pass.
TEST_CASE("a file of a million short lines or sections is sorted") {
  std::string sections, values = "[s]\n";
  for (int i = 0; sections.size() < 1'000'000; ++i) sections += fmt::format("[{}]\n", i);
  while (values.size() < 1'000'000) values += "a=1\n";
  CHECK(parse(sections));
  CHECK(parse(values));
}

TEST_CASE("a file is read whole, up to 1 MiB") {
  const Scratch scratch;
  const auto read = [&](const std::string& name) { return read_ini_file(scratch / name); };
  scratch.write("a", "[s]\n");
  CHECK(read("a").value().text == "[s]\n");
  CHECK(read("a").value().path == scratch / "a");
  scratch.write("mib", std::string(1U << 20U, '\n'));
  CHECK(read("mib").value().text.size() == 1U << 20U);
  for (const std::size_t size : {(1UL << 20U) + 1, 10'000'000UL}) {
    scratch.write("large", std::string(size, '\n'));
    REQUIRE_FALSE(read("large"));
    CHECK(read("large").error().outcome() == Outcome::bad_config);
    CHECK(read("large").error().text().find("too large") != std::string::npos);
  }
}

TEST_CASE("what is not a regular file is refused at once") {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "directory");
  REQUIRE(mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = scratch / "socket";
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  for (const std::string& name :
       {scratch / "directory", scratch / "fifo", path, "/dev/null"s, "/dev/zero"s}) {
    INFO(name);
    const auto file = read_ini_file(name);
    REQUIRE_FALSE(file);
    CHECK(file.error().outcome() == Outcome::bad_config);
    CHECK(file.error().text().find(name + ": is not a regular file") == 0);
  }
  (void)close(socket_fd);
}

TEST_CASE("what the system refuses is told with its errno") {
  const Scratch scratch;
  const auto missing = read_ini_file(scratch / "missing");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().outcome() == Outcome::os_error);
  CHECK(missing.error().code == std::errc::no_such_file_or_directory);
  std::filesystem::create_symlink("loop", scratch / "loop");
  CHECK(read_ini_file(scratch / "loop").error().outcome() == Outcome::os_error);
}
