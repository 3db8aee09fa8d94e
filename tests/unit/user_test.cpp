#include "user.hpp"

#include "apart.hpp"
#include "catch.hpp"
#include "checks/exec_check.hpp"
#include "policy.hpp"
#include "scratch.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

bool is_root() {
  if (geteuid() != 0) WARN("not root: not tested");
  return geteuid() == 0;
}

UserPtr nobody() {
  const auto user = find_user("nobody");
  REQUIRE(user);
  auto alone = std::make_shared<User>(**user);
  alone->groups.clear();
  return alone;
}

// The line of /proc/thread-self/status that begins like this (proc(5)).
std::string status_of_thread(const std::string& field) {
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return line.substr(field.size() + 1);
  return "";
}

// Tells as whom it is asked.
class WhoAmI final : public Check {
 public:
  Answer ask(const Deadline&) override {
    return Answer::yes(fmt::format("{}:{} capabilities{} no-new-privs{} groups{}", syscall(SYS_geteuid),
                                   syscall(SYS_getegid), status_of_thread("CapPrm"),
                                   status_of_thread("NoNewPrivs"), status_of_thread("Groups")));
  }
};

std::string seen_by(const std::shared_ptr<WhoAmI>& check) {
  return ask_once({{.name = "who", .check = check}}, Deadline::after(10s)).front().answer.sentence;
}

} // namespace

TEST_CASE("What needs no rights is asked by a user who has none") {
  if (!is_root()) return;
  const auto user = nobody();
  REQUIRE(user != nullptr);
  CHECK(user->uid != 0);
  const auto check = std::make_shared<WhoAmI>();
  check->ask_as(user);
  const std::string expected =
      fmt::format("{}:{} capabilities\t0000000000000000 no-new-privs\t1 groups\t", user->uid, user->gid);
  CHECK_THAT(seen_by(check), Catch::Matchers::StartsWith(expected));

  UntilYes wait;
  wait.checks = {{.name = "who", .check = check}};
  wait.deadline = Deadline::after(10s);
  const auto waited = wait_until_yes(std::move(wait));
  REQUIRE(waited);
  CHECK_THAT(waited->answers.front().answer.sentence, Catch::Matchers::StartsWith(expected));

  INFO("the other threads, and the next check, are what they were");
  CHECK(geteuid() == 0);
  CHECK_THAT(seen_by(std::make_shared<WhoAmI>()), Catch::Matchers::StartsWith("0:"));
}

TEST_CASE("A process apart is the user's who asks") {
  if (!is_root()) return;
  const auto user = nobody();
  Apart apart([] { return [](std::string_view) { return std::to_string(geteuid()); }; }, 0, user);
  const auto answer = apart.ask("", Deadline::after(10s));
  REQUIRE(answer);
  CHECK(*answer == std::to_string(user->uid));
}

TEST_CASE("A program is run as the user that is named, with his groups") {
  if (!is_root()) return;
  const auto user = find_user("nobody");
  REQUIRE(user);
  ExecCheck check({"/bin/sh", "-c", "id -un; id -Gn >&2"}, {"PATH=/usr/bin:/bin"});
  check.ask_as(*user);
  Answer answer;
  std::thread([&] {
    REQUIRE(become_on_this_thread(**user));
    answer = check.ask(Deadline::after(10s));
  }).join();
  CHECK(answer.sentence == "sh: nobody");
  INFO("who may not become that user does not run it as himself");
  CHECK(check.ask(Deadline::after(10s)).verdict == Verdict::skipped);
}

TEST_CASE("A file that is root's cannot be read by a check that needs no rights") {
  if (!is_root()) return;
  const Scratch scratch;
  const std::string secret = scratch / "secret";
  std::ofstream(secret) << "secret";
  REQUIRE(chmod(secret.c_str(), 0600) == 0);
  const auto user = nobody();
  bool readable = true;
  std::thread([&] {
    REQUIRE(become_on_this_thread(*user));
    readable = access(secret.c_str(), R_OK) == 0 || std::ifstream(secret).good();
  }).join();
  CHECK(!readable);
}

TEST_CASE("Users are found by name and by number, and a name that there is not is told") {
  const auto root = find_user("root");
  REQUIRE(root);
  CHECK((*root)->uid == 0);
  const auto by_number = find_user("0");
  REQUIRE(by_number);
  CHECK((*by_number)->name == "root");
  const auto none = find_user("no-such-user");
  REQUIRE(!none);
  CHECK(none.error().text() == "there is no user 'no-such-user'");
}
