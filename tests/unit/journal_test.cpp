#include "journal.hpp"

#include "catch.hpp"
#include "checks/journal_check.hpp"
#include "checks/make.hpp"
#include "priority.hpp"

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

Answer judged(unsigned count, const std::string& first, const std::string& last,
              const JournalQuestion& question = {.unit = "demo.service"}) {
  return JournalCheck::judge(question, {count, first, last});
}

Result<std::shared_ptr<Check>> made(std::vector<Setting> settings) {
  CheckSection section;
  section.kind = "journal";
  section.settings = {{"journal", "demo.service", {"demo.conf", 3}}};
  section.settings.insert(section.settings.end(), settings.begin(), settings.end());
  return make_check(section, {.app = "demo"});
}

} // namespace

TEST_CASE("the priorities have the names of journalctl") {
  CHECK(parse_priority("emerg") == 0);
  CHECK(parse_priority("err") == 3);
  CHECK(parse_priority("debug") == 7);
  CHECK_FALSE(parse_priority("error"));
  CHECK_FALSE(parse_priority("3"));
  CHECK_FALSE(parse_priority(""));
  for (int priority = 0; priority <= 7; ++priority)
    CHECK(parse_priority(priority_name(priority)) == priority);
}

TEST_CASE("what our own tools log in the app's unit is told from what the app logs") {
  CHECK(is_tools_message("health-wait", "journal", "http://127.0.0.1/: refused"));
  CHECK(is_tools_message("port-wait", "stdout", "port-wait: 127.0.0.1:9000 is held"));
  // A server that port-wait became: its stderr keeps the identifier.
  CHECK_FALSE(is_tools_message("port-wait", "stdout", "cannot open database"));
  CHECK_FALSE(is_tools_message("port-wait", "stdout", "port-waiting"));
  CHECK_FALSE(is_tools_message("server", "journal", "health-wait: x"));
  CHECK_FALSE(is_tools_message("", "journal", ""));
}

TEST_CASE("a unit that logged nothing is well") {
  const Answer answer = judged(0, "", "");
  CHECK(answer.verdict == Verdict::yes);
  CHECK(answer.sentence == "demo.service logged nothing of priority err or worse since it was started");
  CHECK(judged(0, "", "", {.unit = "x.service", .since = 10min, .priority = 0}).sentence ==
        "x.service logged nothing of priority emerg in the last 10m");
}

TEST_CASE("what a unit logged is told, printable and cut") {
  const Answer one = judged(1, "no \x1b[31mdatabase", "no \x1b[31mdatabase");
  CHECK(one.verdict == Verdict::no);
  CHECK(one.reason == "logged");
  CHECK(one.figures.at(0).value == 1);
  CHECK(one.sentence ==
        "demo.service logged 1 message of priority err or worse since it was started: "
        "\"no \\x1b[31mdatabase\"");
  CHECK(judged(3, "a", "b").sentence ==
        "demo.service logged 3 messages of priority err or worse since it was started, the first: \"a\", the "
        "last: \"b\"");
  CHECK(judged(3, "a", "a").sentence.find("the last") == std::string::npos);
  const Answer many = judged(JournalCheck::Logged::most, std::string(100'000, 'x'), "b");
  CHECK(many.sentence.find("1000 or more messages") != std::string::npos);
  CHECK(many.sentence.size() < 500);
}

TEST_CASE("where the journal or systemd cannot be asked the check is skipped") {
  auto units = std::make_shared<Units>();
  if (units->state("demo.service")) return; // there is one here
  const Answer answer = JournalCheck({.unit = "demo.service"}, units).ask(Deadline::after(10s));
  CHECK(answer.verdict == Verdict::skipped);
  CHECK(answer.reason == "systemd");
}

TEST_CASE("the last messages of nobody are none, or the journal says why it tells nothing") {
  const auto start = Clock::now();
  const auto messages =
      last_messages({.invocation = std::string(32, '0')}, 3, Deadline::after(std::chrono::milliseconds(5)));
  if (messages) CHECK(messages->empty());
  if (!messages) CHECK(messages.error().outcome() == Outcome::os_error);
  CHECK(Clock::now() - start < 10s);
}

TEST_CASE("a journal check takes a duration, a priority and expressions") {
  CHECK(made({}));
  CHECK(made({{"since", "10m", {}}, {"priority", "warning", {}}, {"ignore", "a+", {}}, {"ignore", "b", {}}}));
  const auto wrong = made({{"ignore", "(", {"demo.conf", 4}}});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().outcome() == Outcome::bad_config);
}

TEST_CASE("a message that is hard to match is not ignored, and costs no more than the deadline") {
  JournalQuestion question{.unit = "demo.service"};
  question.ignore.push_back(Regex::compile("(a|b)*a(a|b){100}c").value());
  question.ignore.push_back(Regex::compile("^harmless").value());
  const auto ignored = [&](const std::string& message, Duration time) {
    return JournalCheck::is_ignored(question, message, Deadline::after(time));
  };
  CHECK(ignored("harmless ab", 10s).value());
  CHECK_FALSE(ignored("harm", 10s).value());
  std::string hostile;
  std::uint32_t state = 1;
  for (int i = 0; i < 8192; ++i) hostile += (state = state * 1664525 + 1013904223) >> 31U == 0 ? 'a' : 'b';
  const auto start = Clock::now();
  const auto hard = ignored(hostile, 10s);
  if (hard)
    CHECK_FALSE(*hard);
  else
    CHECK(hard.error().outcome() == Outcome::timed_out);
  const auto late = ignored(hostile, 1us);
  REQUIRE_FALSE(late);
  CHECK(late.error().outcome() == Outcome::timed_out);
  CHECK(Clock::now() - start < 30s);
}
