#include "policy.hpp"

#include "catch.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

using namespace safe_deploy;
using namespace std::chrono_literals;

namespace {

// A check that answers what its script says, the last line for ever.
class Scripted : public Check {
 public:
  explicit Scripted(std::vector<Answer> script, bool instantly = true)
      : script_(std::move(script)), instantly_(instantly) {}

  Answer ask(const Deadline&) override {
    const std::size_t i = std::min<std::size_t>(asked++, script_.size() - 1);
    return script_[i];
  }
  [[nodiscard]] bool instant() const override { return instantly_; }

  std::atomic<unsigned> asked = 0;

 private:
  std::vector<Answer> script_;
  bool instantly_;
};

// Never comes back before `until` is set.
class Hanging : public Check {
 public:
  explicit Hanging(std::shared_ptr<std::atomic<bool>> until) : until_(std::move(until)) {}
  Answer ask(const Deadline&) override {
    until_->wait(false);
    return {.verdict = Verdict::yes, .reason = "ok", .sentence = "late"};
  }

 private:
  std::shared_ptr<std::atomic<bool>> until_;
};

// Says yes at once, and then nothing for a long time.
class HangsAfterOne : public Check {
 public:
  Answer ask(const Deadline&) override {
    if (asked_++ > 0) std::this_thread::sleep_for(1s);
    return {.verdict = Verdict::yes, .reason = "ok", .sentence = "fine"};
  }

 private:
  std::atomic<unsigned> asked_ = 0;
};

const Answer yes{.verdict = Verdict::yes, .reason = "ok", .sentence = "fine"};
const Answer no{.verdict = Verdict::no, .reason = "status", .sentence = "503"};
const Answer closed{
    .verdict = Verdict::no, .reason = "refused", .sentence = "refused", .figures = {}, .counts = false};
const Answer never{.verdict = Verdict::no,
                   .reason = "held",
                   .sentence = "held",
                   .figures = {},
                   .counts = true,
                   .final = true};

UntilYes quick(std::vector<std::shared_ptr<Check>> checks) {
  UntilYes wait;
  for (auto& check : checks)
    wait.checks.push_back({.name = "check", .check = std::move(check), .interval = 1ms});
  wait.deadline = Deadline::after(5s);
  wait.first_pause = wait.longest_pause = wait.instant_pause = 1ms;
  return wait;
}

auto scripted(std::vector<Answer> script, bool instantly = true) {
  return std::make_shared<Scripted>(std::move(script), instantly);
}

} // namespace

TEST_CASE("a deadline without limit never passes") {
  for (const Duration timeout : {Duration::zero(), without_limit}) {
    const Deadline deadline = Deadline::after(timeout);
    CHECK(deadline.is_never());
    CHECK_FALSE(deadline.has_passed());
    CHECK(deadline.remaining() == without_limit);
  }
  CHECK_FALSE(Deadline::after(1h).is_never());
}

TEST_CASE("a check without a limit of its own is asked") {
  const auto answers = ask_once(
      {{.name = "a", .check = scripted({yes}, false), .attempt_timeout = without_limit}}, Deadline::never());
  CHECK(answers[0].answer.verdict == Verdict::yes);
}

TEST_CASE("an instant yes is asked for once and ends the wait") {
  auto check = scripted({yes});
  const auto waited = wait_until_yes(quick({check})).value();
  CHECK(waited.end == Waited::End::yes);
  CHECK(check->asked == 1);
}

TEST_CASE("a wait goes on until the answer is yes") {
  for (const bool instantly : {true, false}) {
    const auto waited = wait_until_yes(quick({scripted({closed, closed, no, yes}, instantly)})).value();
    CHECK(waited.end == Waited::End::yes);
    CHECK(waited.attempts == 1);
  }
}

TEST_CASE("attempts are used up by answers that count only") {
  auto check = scripted({closed, closed, no, no, yes}, false);
  auto wait = quick({check});
  wait.attempts = 2;
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::gave_up);
  CHECK(check->asked == 4);
}

TEST_CASE("a final no ends the wait at once, but not where another check may still say yes") {
  CHECK(wait_until_yes(quick({scripted({never})})).value().end == Waited::End::gave_up);
  auto wait = quick({scripted({never}), scripted({closed, closed, yes})});
  wait.any = true;
  CHECK(wait_until_yes(std::move(wait)).value().end == Waited::End::yes);
}

TEST_CASE("all must say yes at the same time") {
  const auto waited = wait_until_yes(quick({scripted({yes, no, no, yes}), scripted({no, yes})})).value();
  CHECK(waited.end == Waited::End::yes);
  for (const auto& asking : waited.answers) CHECK(asking.answer.verdict == Verdict::yes);
}

TEST_CASE("rise asks for so many yeses in a row") {
  auto check = scripted({yes, no, yes, yes, yes}, false);
  auto wait = quick({check});
  wait.rise = 3;
  CHECK(wait_until_yes(std::move(wait)).value().end == Waited::End::yes);
  CHECK(check->asked == 5);
}

TEST_CASE("a hold ends with an answer, not with silence") {
  auto wait = quick({std::make_shared<HangsAfterOne>()});
  wait.checks[0].attempt_timeout = 50ms;
  wait.checks[0].interval = 10s; // nothing is asked while it holds
  wait.hold = 100ms;
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::fell);
  CHECK(waited.elapsed >= 150ms);

  auto steady = scripted({yes}, false);
  auto held = quick({steady});
  held.checks[0].interval = 10s;
  held.hold = 50ms;
  CHECK(wait_until_yes(std::move(held)).value().end == Waited::End::yes);
  CHECK(steady->asked == 2);
}

TEST_CASE("a hold of nothing at all takes its time") {
  auto wait = quick({});
  wait.hold = 30ms;
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::yes);
  CHECK(waited.elapsed >= 30ms);
}

TEST_CASE("a no during the hold is a fall, a hold without one is a yes") {
  auto wait = quick({scripted({yes, yes, no}, false)});
  wait.hold = 10s;
  CHECK(wait_until_yes(std::move(wait)).value().end == Waited::End::fell);
  auto steady = quick({scripted({yes}, false)});
  steady.hold = 20ms;
  CHECK(wait_until_yes(std::move(steady)).value().end == Waited::End::yes);
}

TEST_CASE("a no during the hold is asked for as often as the check says before it is believed") {
  for (const bool instantly : {true, false}) {
    INFO(instantly);
    auto flaps = quick({scripted({yes, yes, no, no, yes, no, no, yes}, instantly)});
    flaps.checks[0].attempts = 3;
    flaps.hold = 60ms;
    CHECK(wait_until_yes(std::move(flaps)).value().end == Waited::End::yes);

    auto falls =
        quick({scripted({yes, yes, yes, no, no, yes, no, no, no}, instantly), scripted({yes}, false)});
    falls.is_there = true; // the one may have had all its answers before the other has its first
    falls.checks[0].attempts = 3;
    falls.hold = 10s;
    const auto waited = wait_until_yes(std::move(falls)).value();
    CHECK(waited.end == Waited::End::fell);
    CHECK(waited.decisive == 0);
    CHECK(waited.elapsed >= 6ms);

    // The end of the hold is no yes while a no is not settled.
    auto ends = quick({scripted({no}, instantly)});
    ends.is_there = true;
    ends.checks[0].attempts = 3;
    ends.checks[0].interval = 40ms;
    ends.hold = 50ms;
    CHECK(wait_until_yes(std::move(ends)).value().end == Waited::End::fell);
  }
}

TEST_CASE("who is there already holds from the beginning") {
  for (const bool instantly : {true, false}) {
    INFO(instantly);
    auto wait = quick({scripted({yes}, instantly)});
    wait.is_there = true;
    wait.deadline = Deadline::after(1ms);
    wait.hold = 50ms;
    const auto held = wait_until_yes(std::move(wait)).value();
    CHECK(held.end == Waited::End::yes);
    CHECK(held.elapsed >= 50ms);

    auto first = scripted({no}, instantly);
    auto bad = quick({first});
    bad.is_there = true;
    bad.attempts = 5; // of those who wait for a yes
    bad.hold = 10s;
    CHECK(wait_until_yes(std::move(bad)).value().end == Waited::End::fell);
    CHECK(first->asked == 1);

    auto recovers = quick({scripted({no, yes}, instantly)});
    recovers.is_there = true;
    recovers.checks[0].attempts = 2;
    recovers.hold = 30ms;
    CHECK(wait_until_yes(std::move(recovers)).value().end == Waited::End::yes);
  }
  auto nothing = quick({});
  nothing.is_there = true;
  nothing.hold = 30ms;
  CHECK(wait_until_yes(std::move(nothing)).value().elapsed >= 30ms);
}

TEST_CASE("a check that hangs while it is to hold is believed at once") {
  auto wait = quick({std::make_shared<HangsAfterOne>()});
  wait.checks[0].attempt_timeout = 30ms;
  wait.checks[0].attempts = 100;
  wait.hold = 10s;
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::fell);
  CHECK(waited.answers[0].answer.reason == "timeout");
}

TEST_CASE("the deadline is kept although a check hangs") {
  auto until = std::make_shared<std::atomic<bool>>(false);
  auto wait = quick({std::make_shared<Hanging>(until)});
  wait.deadline = Deadline::after(30ms);
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::timed_out);
  CHECK(waited.elapsed >= 30ms);
  CHECK(waited.elapsed < 5s);
  *until = true;
  until->notify_all();
}

TEST_CASE("a check that hangs is told as a timeout of its own") {
  auto until = std::make_shared<std::atomic<bool>>(false);
  auto wait = quick({std::make_shared<Hanging>(until)});
  wait.checks[0].attempt_timeout = 10ms;
  wait.attempts = 1;
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::gave_up);
  CHECK(waited.answers[0].answer.reason == "timeout");
  *until = true;
  until->notify_all();
}

TEST_CASE("the end of the process ends the wait") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    (void)!read(ends[0], &byte, 1);
    _exit(3);
  }
  auto wait = quick({scripted({no}, false)});
  wait.pid = child;
  wait.on_answer = [&](const Asking&, Duration) { (void)!write(ends[1], "x", 1); };
  CHECK(wait_until_yes(std::move(wait)).value().end == Waited::End::process_ended);
  (void)waitpid(child, nullptr, 0);
  auto gone = quick({scripted({yes})});
  gone.pid = child;
  CHECK(wait_until_yes(std::move(gone)).value().end == Waited::End::process_ended);
  (void)close(ends[0]);
  (void)close(ends[1]);
}

TEST_CASE("a gate keeps a check from being asked") {
  auto check = scripted({yes}, false);
  auto wait = quick({check});
  wait.checks[0].gate = scripted({closed, closed, closed, yes});
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::yes);
  CHECK(check->asked == 1);
  CHECK(waited.attempts == 0);
}

TEST_CASE("a warning at the gate is waited for as long as something else is, and no longer") {
  auto warned = scripted({no}, false);
  auto other = scripted({closed, closed, no, yes}, false);
  auto wait = quick({warned, other});
  wait.checks[0].warning_only = true;
  wait.checks[0].gate = scripted({closed});
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::yes);
  CHECK(waited.answers[0].answer.verdict == Verdict::warning);
  CHECK(waited.answers[0].answer.sentence == "refused");
  CHECK(warned->asked == 0);

  // Its own answer is the one that is told, where there is one by then.
  auto opened = quick({warned, scripted({closed, closed, yes}, false)});
  opened.checks[0].warning_only = true;
  opened.checks[0].gate = scripted({closed, yes});
  opened.checks[1].gate = opened.checks[0].gate;
  CHECK(wait_until_yes(std::move(opened)).value().answers[0].answer.sentence == "503");
}

TEST_CASE("a warning at the gate makes up for no other check") {
  auto wait = quick({scripted({yes}, false), scripted({closed}, false)});
  wait.checks[0].warning_only = true;
  wait.checks[0].gate = scripted({closed});
  wait.deadline = Deadline::after(50ms);
  CHECK(wait_until_yes(std::move(wait)).value().end == Waited::End::timed_out);
}

TEST_CASE("a warning at the gate is no fall while all hold") {
  auto wait = quick({scripted({yes}, false), scripted({yes})});
  wait.checks[0].warning_only = true;
  wait.checks[0].gate = scripted({yes, closed});
  wait.hold = 50ms;
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::yes);
  CHECK(waited.answers[0].answer.verdict == Verdict::warning);
}

TEST_CASE("what the gate cannot tell is a no where the check is required") {
  auto wait = quick({scripted({yes}, false)});
  wait.checks[0].required = true;
  wait.checks[0].gate = scripted({Answer::skipped("permission", "not allowed")});
  wait.deadline = Deadline::after(50ms);
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::timed_out);
  CHECK(waited.answers[0].answer.verdict == Verdict::no);
}

TEST_CASE("a hold ends although a check that only warns hangs") {
  auto until = std::make_shared<std::atomic<bool>>(false);
  // Given up before the end of the hold, and after it.
  for (const Duration timeout : {Duration(10ms), Duration(200ms)}) {
    auto wait = quick({std::make_shared<Hanging>(until), scripted({yes}, false)});
    wait.checks[0].warning_only = true;
    wait.checks[0].attempt_timeout = timeout;
    wait.hold = 100ms;
    std::atomic<bool> ended = false;
    // Not waited for without end where that is what is wrong.
    std::thread watch([&ended] {
      const Deadline deadline = Deadline::after(20s);
      while (!ended && !deadline.has_passed()) std::this_thread::sleep_for(5ms);
      if (!ended) (void)kill(getpid(), SIGTERM);
    });
    const auto waited = wait_until_yes(std::move(wait)).value();
    ended = true;
    watch.join();
    CHECK(waited.end == Waited::End::yes);
    CHECK(waited.answers[0].answer.verdict == Verdict::warning);
    CHECK(waited.answers[0].answer.reason == "timeout");
  }
  *until = true;
  until->notify_all();
}

TEST_CASE("a signal ends the wait, and the mask is as before") {
  auto wait = quick({scripted({no}, false)});
  wait.on_answer = [](const Asking&, Duration) { (void)kill(getpid(), SIGTERM); };
  const auto waited = wait_until_yes(std::move(wait)).value();
  CHECK(waited.end == Waited::End::signalled);
  CHECK(waited.signal == SIGTERM);
  sigset_t mask;
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &mask) == 0);
  CHECK(sigismember(&mask, SIGTERM) == 0);
}

TEST_CASE("ask_once asks side by side and gives up a check that hangs") {
  auto until = std::make_shared<std::atomic<bool>>(false);
  const auto start = Clock::now();
  const auto answers = ask_once(
      {{.name = "a", .check = scripted({yes})},
       {.name = "b", .check = std::make_shared<Hanging>(until), .attempt_timeout = 20ms, .interval = 0s},
       {.name = "c", .check = scripted({no, yes}, false), .attempts = 2, .interval = 1ms},
       {.name = "d", .check = scripted({no}, false), .warning_only = true}},
      Deadline::after(5s));
  CHECK(Clock::now() - start < 1s);
  CHECK(answers[0].answer.verdict == Verdict::yes);
  CHECK(answers[1].answer.reason == "timeout");
  CHECK(answers[2].answer.verdict == Verdict::yes);
  CHECK(answers[3].answer.verdict == Verdict::warning);
  *until = true;
  until->notify_all();
}

TEST_CASE("a hang costs the time of one attempt, however many there are") {
  auto until = std::make_shared<std::atomic<bool>>(false);
  const auto start = Clock::now();
  const auto answers = ask_once({{.name = "a",
                                  .check = std::make_shared<Hanging>(until),
                                  .attempt_timeout = 50ms,
                                  .attempts = 1000,
                                  .interval = 50ms}},
                                Deadline::after(30s));
  CHECK(Clock::now() - start < 10s);
  CHECK(answers[0].answer.verdict == Verdict::no);
  CHECK(answers[0].answer.sentence == "no answer within 50ms, and it still hangs");
  *until = true;
  until->notify_all();
  // One that says no has all its attempts.
  auto slow = scripted({no, no, no, yes}, false);
  CHECK(ask_once({{.name = "a", .check = slow, .attempt_timeout = 2s, .attempts = 4, .interval = 100ms}},
                 Deadline::never())[0]
            .answer.verdict == Verdict::yes);
}

TEST_CASE("pauses grow to the longest and keep within a tenth below it") {
  Pace pace(20ms, 1s);
  Duration last{};
  for (int i = 0; i < 20; ++i) last = pace.next();
  CHECK(last <= 1s);
  CHECK(last >= 900ms);
  pace.restart();
  CHECK(pace.next() <= 20ms);
}

TEST_CASE("one that cannot be asked is neither waited for nor an objection, but where it is required") {
  const Answer skipped = Answer::skipped("permission", "not allowed");
  for (const bool instantly : {true, false}) {
    auto other = scripted({closed, no, yes}, instantly);
    auto wait = quick({scripted({skipped}, instantly), other});
    wait.attempts = 2;
    wait.hold = 20ms;
    const auto waited = wait_until_yes(std::move(wait)).value();
    CHECK(waited.end == Waited::End::yes);
    CHECK(waited.attempts == 1);
    CHECK(other->asked >= 3U);
    CHECK(waited.answers[0].answer.verdict == Verdict::skipped);

    auto needed = quick({scripted({skipped}, instantly)});
    needed.checks[0].required = true;
    needed.attempts = 2;
    const auto refused = wait_until_yes(std::move(needed)).value();
    CHECK(refused.end == Waited::End::gave_up);
    CHECK(refused.answers[0].answer.reason == "permission");
  }
  const auto once =
      ask_once({{.name = "a", .check = scripted({skipped}), .required = true},
                {.name = "b", .check = scripted({skipped}), .warning_only = true, .required = true},
                {.name = "c", .check = scripted({skipped})}},
               Deadline::never());
  CHECK(once[0].answer.verdict == Verdict::no);
  CHECK(once[1].answer.verdict == Verdict::warning);
  CHECK(once[2].answer.verdict == Verdict::skipped);
}

TEST_CASE("that nothing could be asked is no yes, but where nothing can ever be asked") {
  const Answer skipped = Answer::skipped("systemd", "the bus does not answer");
  Answer no_value = Answer::skipped("no-value", "no release is deployed");
  no_value.final = true;
  for (const bool instantly : {true, false}) {
    auto wait = quick({scripted({no_value}), scripted({skipped}, instantly)});
    wait.deadline = Deadline::after(50ms);
    const auto waited = wait_until_yes(std::move(wait)).value();
    CHECK(waited.end == Waited::End::timed_out);
    CHECK(waited.answers[1].answer.sentence == "the bus does not answer");

    auto later = scripted({skipped, skipped, yes}, instantly);
    CHECK(wait_until_yes(quick({later})).value().end == Waited::End::yes);
    CHECK(later->asked == 3);

    auto never_asked = quick({scripted({no_value}, instantly)});
    never_asked.hold = 20ms;
    const auto first_start = wait_until_yes(std::move(never_asked)).value();
    CHECK(first_start.end == Waited::End::yes);
    CHECK(first_start.answers[0].answer.sentence == "no release is deployed");
  }
}

TEST_CASE("where any of them is enough, one that cannot be asked is none") {
  auto wait = quick({scripted({Answer::skipped("permission", "not allowed")}), scripted({closed})});
  wait.any = true;
  wait.deadline = Deadline::after(30ms);
  CHECK(wait_until_yes(std::move(wait)).value().end == Waited::End::timed_out);
}

TEST_CASE("a deadline tells what was given, however late it is looked at") {
  const Deadline deadline = Deadline::after(500ms);
  CHECK(deadline.given() == 500ms);
  CHECK(deadline.earlier(Deadline::after(1h)).given() == 500ms);
  CHECK(Deadline::after(1h).earlier(deadline).given() == 500ms);
  CHECK(Deadline::never().given() == without_limit);
}
