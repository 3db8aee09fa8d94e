#include "catch.hpp"
#include "checks/exec_check.hpp"
#include "checks/make.hpp"
#include "dead_file_system.hpp"
#include "program.hpp"
#include "scratch.hpp"
#include "words.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstring>
#include <thread>

using namespace safe_deploy;
using namespace safe_deploy::test;
using namespace std::chrono_literals;

namespace {

using Words = std::vector<std::string>;

Deadline soon() {
  return Deadline::after(20s);
}

// A FIFO that a program opens and all that it starts inherits: it tells when the last of them has ended.
class Lifeline {
 public:
  explicit Lifeline(const std::string& path) {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    fd_.reset(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(fd_);
  }

  // Whether somebody wrote a line to it, and holds it no more, ten seconds later at the latest.
  [[nodiscard]] bool was_let_go() const {
    std::string written;
    std::array<char, 512> piece{};
    const Deadline deadline = Deadline::after(10s);
    while (!deadline.has_passed()) {
      pollfd state{fd_.get(), POLLIN, 0};
      if (poll(&state, 1, 100) <= 0) continue;
      const ssize_t size = read(fd_.get(), piece.data(), piece.size());
      if (size > 0) written.append(piece.data(), static_cast<std::size_t>(size));
      if (size == 0) return written.starts_with("begun\n");
    }
    return false;
  }

  [[nodiscard]] bool is_held() const {
    pollfd state{fd_.get(), POLLIN, 0};
    return poll(&state, 1, 10'000) == 1 && (state.revents & POLLHUP) == 0;
  }

 private:
  Fd fd_ = {};
};

CheckSection section_with(const std::string& exec) {
  CheckSection section;
  section.name = "x";
  section.kind = "exec";
  section.place = {"demo.conf", 3};
  section.settings.push_back({"exec", exec, {"demo.conf", 4}});
  return section;
}

// A shell script as the program of a check.
struct Script {
  Scratch scratch = {};
  Lifeline lifeline{scratch / "life"};
  std::string path = scratch / "check_it";

  explicit Script(const std::string& lines, const std::string& first = "#!/bin/sh\n") {
    scratch.write("check_it", first + lines);
    REQUIRE(chmod(path.c_str(), 0755) == 0);
  }

  [[nodiscard]] std::shared_ptr<Check> check(const std::string& arguments = "") const {
    CheckContext context;
    context.app = "demo";
    context.release = "v1 'x'";
    auto made = make_check(section_with(path + " " + arguments), context);
    REQUIRE(made);
    return *made;
  }

  [[nodiscard]] Answer ask(const Deadline& deadline = soon()) const { return check()->ask(deadline); }
};

// Where "life" is, as a script finds it.
const std::string hold = "exec 9> \"${0%/*}/life\"; echo begun >&9\n";

bool is_gone(const std::string& pid) {
  const Deadline deadline = Deadline::after(10s);
  while (kill(std::stoi(pid), 0) == 0) {
    // Where nobody takes note of an orphan's end it stays as a zombie.
    std::ifstream stat("/proc/" + pid + "/stat");
    std::string number;
    std::string name;
    std::string state;
    if (stat >> number >> name >> state && state == "Z") return true;
    if (deadline.has_passed()) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string make_error(const std::string& value, const std::string& link = "") {
  CheckContext context;
  context.app = "demo";
  context.link = link;
  const auto made = make_check(section_with(value), context);
  return made ? "" : made.error().text();
}

} // namespace

// --- words

TEST_CASE("a command is parted into words as a person expects") {
  CHECK(split_words("/bin/a  b\tc ") == Words{"/bin/a", "b", "c"});
  CHECK(split_words("a 'b  c' \"d  e\" f\\ g") == Words{"a", "b  c", "d  e", "f g"});
  CHECK(split_words("a'b'\"c\"d") == Words{"abcd"});
  CHECK(split_words("a '' \"\"") == Words{"a", "", ""});
  CHECK(split_words(R"('\' "\"\\\$\`\n" \'\")") == Words{"\\", "\"\\$`\\n", "'\""});
  CHECK(split_words("* $HOME ~ `x` | > & # ;") == Words{"*", "$HOME", "~", "`x`", "|", ">", "&", "#", ";"});
  CHECK(split_words("") == Words{});
}

TEST_CASE("a quote that is not closed and a lonely backslash are told, and nothing else of the command") {
  for (const auto& [command, told] : {std::pair("/x 'secret", "quote (') that is not closed"),
                                      std::pair("/x \"secret\\\"", "quote (\") that is not closed"),
                                      std::pair("/x secret\\", "a backslash that has nothing behind it"),
                                      std::pair("secret /x", "the absolute path of a program"),
                                      std::pair("'' secret", "the absolute path of a program"),
                                      std::pair(" ", "the absolute path of a program")}) {
    const std::string problem = judge::command(command);
    CHECK(problem.find(told) != std::string::npos);
    CHECK(problem.find("secret") == std::string::npos);
    CHECK(make_error(command) == "demo.conf:4: exec: " + problem);
  }
  CHECK(judge::command("/bin/sh -c 'exit 0'") == "");
}

TEST_CASE("what stands for a placeholder is part of one word, and may be the program") {
  const Script script("printf '%s,' \"$#\" \"$@\"; echo");
  const auto check = script.check("-r ${release} \"in ${app}\" '${release}'");
  CHECK(check->ask(soon()).sentence == "check_it: 4,-r,v1 'x',in demo,v1 'x',");
  CHECK(make_error("${link}/bin/check", "/srv/current") == "");
  CHECK(make_error("${app}/bin/check").find("demo.conf:4: exec: does not begin with") == 0);
  CHECK(make_error("/x ${link}").find("demo.conf:4: exec: ${link}: ") == 0);
  CHECK(make_error("/x \"$\"{nothing}").find("demo.conf:4: exec: ${nothing}: ") == 0);
}

// --- what is answered

TEST_CASE("the exit status is the verdict, the first line the sentence") {
  const auto ended_with = [](const std::string& status) {
    return Script("echo \" SAID - so | a=1\"; echo more; exit " + status).ask();
  };
  const Answer ok = ended_with("0");
  CHECK(ok.verdict == Verdict::yes);
  CHECK(ok.reason == "ok");
  CHECK(ok.sentence == "check_it: SAID - so");
  const Answer warning = ended_with("1");
  CHECK(warning.verdict == Verdict::warning);
  CHECK(warning.reason == "warning");
  CHECK(warning.sentence == "check_it: SAID - so (exit status 1)");
  for (const auto& [status, reason] : {std::pair("2", "critical"), std::pair("3", "unknown"),
                                       std::pair("4", "status"), std::pair("77", "status")}) {
    const Answer no = ended_with(status);
    CHECK(no.verdict == Verdict::no);
    CHECK(no.reason == reason);
    CHECK(no.sentence == std::string("check_it: SAID - so (exit status ") + status + ")");
  }
}

TEST_CASE("a program that is killed is no program that says no") {
  const Answer answer = Script("echo almost; kill -KILL $$").ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "signal");
  CHECK(answer.sentence == "check_it: almost (was killed by SIGKILL)");
}

TEST_CASE("stderr counts where stdout says nothing") {
  CHECK(Script("echo; echo 'no such host' >&2; exit 3").ask().sentence ==
        "check_it: no such host (exit status 3)");
  CHECK(Script("echo 'fine'; echo 'deprecated' >&2").ask().sentence == "check_it: fine");
  CHECK(Script("exit 2").ask().sentence == "check_it: said nothing (exit status 2)");
}

TEST_CASE("what cannot be printed is escaped, and what is long is cut") {
  const Answer answer = Script("printf '\\033[31mred\\377\\000\\r\\n'").ask();
  CHECK(answer.sentence == "check_it: \\x1b[31mred\\xff\\x00");
  const std::string sentence = Script("head -c 100000 /dev/zero | tr '\\0' x").ask().sentence;
  CHECK(sentence == "check_it: " + std::string(200, 'x') + "...");
}

TEST_CASE("arguments are not told") {
  const Script script("exit 2");
  CHECK(script.check("--password hunter2")->ask(soon()).sentence.find("hunter2") == std::string::npos);
  const auto late = Script("sleep 1000").check("hunter2")->ask(Deadline::after(200ms));
  CHECK(late.sentence == "check_it: did not end within 200ms");
}

TEST_CASE("a program that is not there or is none is told with the system's reason") {
  const Script script("");
  const std::string there = script.path;
  const auto ask = [&](const std::string& path) { return ExecCheck({path, "secret"}, {}).ask(soon()); };
  const Answer missing = ask(there + "-missing");
  CHECK(missing.verdict == Verdict::no);
  CHECK(missing.reason == "not-found");
  CHECK(missing.sentence == "check_it-missing: cannot run " + there + "-missing: No such file or directory");
  CHECK(ask(there + "/below").reason == "not-found");

  const Answer directory = ask(script.scratch.path());
  CHECK(directory.verdict == Verdict::no);
  CHECK(directory.reason == "not-executable");
  REQUIRE(chmod(there.c_str(), 0644) == 0);
  CHECK(ask(there).reason == "not-executable");
  CHECK(ask(there).sentence == "check_it: cannot run " + there + ": Permission denied");
  CHECK(Script("data", "").ask().sentence.find("Exec format error") != std::string::npos);
  const Answer interpreter = Script("", "#!/no/such/thing\n").ask();
  CHECK(interpreter.reason == "not-executable");
  CHECK(interpreter.sentence.find("the interpreter that") != std::string::npos);
}

// --- figures

TEST_CASE("performance data become figures") {
  const Answer answer =
      Script(
          "echo 'OK | rta=12.5ms;100;200;0; '\"'disk /'=3MB\"; echo long; echo 'text | more=7'; echo 'b=8%'")
          .ask();
  CHECK(answer.sentence == "check_it: OK");
  REQUIRE(answer.figures.size() == 4);
  CHECK(answer.figures[0].name == "rta");
  CHECK(std::abs(answer.figures[0].value - 0.0125) < 1e-9);
  CHECK(answer.figures[0].unit == "s");
  CHECK(answer.figures[1].name == "disk /");
  CHECK(answer.figures[1].value == 3 * 1024 * 1024);
  CHECK(answer.figures[1].unit == "B");
  CHECK(answer.figures[2].name == "more");
  CHECK(answer.figures[3].name == "b");
  CHECK(answer.figures[3].unit == "%");
}

TEST_CASE("each way to write a figure is understood") {
  const auto one = [](const std::string& text) {
    const auto figures = read_performance_data(text);
    REQUIRE(figures.size() == 1);
    return figures.front();
  };
  CHECK(one("a=1").value == 1);
  CHECK(one("a=-1.5e3").value == -1500);
  CHECK(one("a=2c").unit == "");
  CHECK(one("a=2q").unit == "q");
  CHECK(std::abs(one("a=20us").value - 2e-5) < 1e-9);
  CHECK(one("a=1;@1:2;3~;;").value == 1);
  CHECK(one("'it''s = x'=4").name == "it's = x");
  CHECK(one("a=1 a=2").value == 1);
}

TEST_CASE("malformed performance data are passed over") {
  for (const char* text : {"",        " \r\n", "a",      "=1",    "a=",     "a=U",     "a=;1",
                           "a=x",     "a=1,5", "a=0x10", "a=inf", "a=-nan", "a=1e999", "a=1.2.3",
                           "'a",      "'a'",   "'a'1",   "''=1",  "a'b=1",  "a=--1",   "a=1abcdefghij",
                           "a=1\x1b", "a = 1"}) {
    INFO(text);
    CHECK(read_performance_data(text).empty());
    CHECK(read_performance_data(std::string(text) + " good=1").size() <= 1);
  }
  CHECK(read_performance_data("a=x b=1 =2 c=U d=3").size() == 2);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "l" + std::to_string(i) + "=1 ";
  CHECK(read_performance_data(many).size() == 20);
  CHECK(read_performance_data(std::string(5000, 'l') + "=1").front().name.size() < 100);
}

// --- what the program is given

TEST_CASE("a program has no descriptor, signal or variable of the tool's") {
  const int leaked = open("/dev/null", O_RDONLY); // without O_CLOEXEC
  REQUIRE(leaked >= 0);
  CHECK(Script("echo $(ls /proc/self/fd) $(readlink /proc/$$/fd/0)").ask().sentence ==
        "check_it: 0 1 2 3 /dev/null"); // 3 is what ls looks through
  (void)close(leaked);

  const auto before = std::signal(SIGUSR1, SIG_IGN);
  sigset_t mask;
  sigset_t old;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &mask, &old);
  CHECK(Script("echo $(grep -E '^Sig(Blk|Ign)' /proc/self/status)").ask().sentence ==
        "check_it: SigBlk: 0000000000000000 SigIgn: 0000000000000000");
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  (void)std::signal(SIGUSR1, before);

  CHECK(Script("pwd; exit 0").ask().sentence == "check_it: /");
  CHECK(Script("read -r pid name state parent group session rest < /proc/$$/stat\n"
               "echo $((pid - group)) $((pid - session))")
            .ask()
            .sentence == "check_it: 0 0");
}

TEST_CASE("the environment is passed on, without what would speak in the tool's name") {
  for (const char* name : {"NOTIFY_SOCKET", "MAINPID", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC",
                           "SAFE_DEPLOY_RELEASE", "EXEC_TEST_KEPT"})
    REQUIRE(setenv(name, "set", 1) == 0);
  const std::string sentence =
      Script(
          "echo $EXEC_TEST_KEPT, $NOTIFY_SOCKET$MAINPID$LISTEN_FDS$LISTEN_PID$WATCHDOG_USEC, "
          "$SAFE_DEPLOY_APP, \"$SAFE_DEPLOY_RELEASE\", $(env | grep -c SAFE_DEPLOY_RELEASE)")
          .ask()
          .sentence;
  for (const char* name : {"NOTIFY_SOCKET", "MAINPID", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC",
                           "SAFE_DEPLOY_RELEASE", "EXEC_TEST_KEPT"})
    REQUIRE(unsetenv(name) == 0);
  CHECK(sentence == "check_it: set, , demo, v1 'x', 1");
}

// --- hostile programs: what they started is gone, and the answer came in time

TEST_CASE("a program that ignores SIGTERM and does not end is killed at the deadline") {
  const Script script(hold + "trap '' TERM INT HUP\necho waiting for Godot\nsleep 1000; sleep 1000");
  const auto begin = Clock::now();
  const Answer answer = script.ask(Deadline::after(2s));
  CHECK(Clock::now() - begin < 10s);
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "timeout");
  CHECK(answer.sentence.find("check_it: did not end within 2s") == 0);
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("what a program leaves running is killed, and does not delay the answer") {
  // Each holds stdout.
  for (const char* left :
       {"sleep 1000 &", "(trap '' HUP TERM; sleep 1000; sleep 1000) &", "setsid sleep 1000 &",
        "(setsid sh -c 'sleep 1000 & sleep 1000 & exit' &)",
        "(setsid sh -c 'setsid sh -c \"setsid sleep 1000 & sleep 1000\" & sleep 1000' &)"}) {
    INFO(left);
    const Script script(hold + left + "\necho left; exit 1");
    const auto begin = Clock::now();
    CHECK(script.ask().sentence == "check_it: left (exit status 1)");
    CHECK(Clock::now() - begin < 10s);
    CHECK(script.lifeline.was_let_go());
  }
}

TEST_CASE("a sleeper that closes everything is killed, too") {
  const Script script(
      "setsid sh -c 'echo $$ > \"'\"${0%/*}\"'/pid.new\"; mv \"'\"${0%/*}\"'/pid.new\" "
      "\"'\"${0%/*}\"'/pid\"; exec sleep 1000' < /dev/null > /dev/null 2>&1 &\n"
      "until [ -e \"${0%/*}/pid\" ]; do :; done\necho done");
  CHECK(script.ask().sentence == "check_it: done");
  const std::string pid = script.scratch.read("pid");
  REQUIRE(std::stoi(pid) > 1);
  CHECK(is_gone(pid.substr(0, pid.find('\n'))));
}

TEST_CASE("all that a program started is killed at the deadline") {
  const Script script(hold + "setsid sh -c 'sleep 1000 & setsid sleep 1000 & exit' &\nsleep 1000");
  CHECK(script.ask(Deadline::after(2s)).reason == "timeout");
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("a program that runs away from session to session is caught") {
  const Script script(
      hold + "[ -n \"$1\" ] && setsid \"$0\" $1 &\n[ -n \"$1\" ] || setsid \"$0\" away &\necho gone");
  CHECK(script.ask().sentence == "check_it: gone");
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("a program that forks in one group without end is caught") {
  const Script script(hold +
                      "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i + 1)); done; echo begun >&9; wait");
  CHECK(script.ask(Deadline::after(2s)).reason == "timeout");
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("a flood of output ends at the deadline, in bounded memory") {
  const Script script(hold + "exec yes flood");
  const Answer answer = script.ask(Deadline::after(2s));
  CHECK(answer.sentence == "check_it: did not end within 2s (it said: flood)");
  CHECK(script.lifeline.was_let_go());

  const Script errors("exec yes flood >&2");
  Program program({errors.path}, {"PATH=/usr/bin:/bin"});
  const auto run = program.run(Deadline::after(2s));
  REQUIRE(run);
  CHECK(run->end == ProgramRun::End::late);
  CHECK(run->out.empty());
  CHECK(run->err.size() == 16384);
}

TEST_CASE("a program that writes much and ends is not held up") {
  const Script script("head -c 3000000 /dev/zero | tr '\\0' x; exit 2");
  Program program({script.path}, {"PATH=/usr/bin:/bin"});
  const auto run = program.run(soon());
  REQUIRE(run);
  CHECK(run->end == ProgramRun::End::ended);
  CHECK(WEXITSTATUS(run->value) == 2);
  CHECK(run->out.size() == 65536);
}

TEST_CASE("one that goes on flooding when the program has ended does not hold it up") {
  const Script script(hold + "yes flood &\necho first; exit 0");
  CHECK(script.ask().verdict == Verdict::yes);
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("a program that closes its outputs and stays is killed at the deadline") {
  const Script script(hold + "exec >&- 2>&- < /dev/null\nsleep 1000");
  CHECK(script.ask(Deadline::after(2s)).sentence == "check_it: did not end within 2s");
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("a program that stops itself, or kills what looks after it, gives an answer") {
  const Script stopped(hold + "kill -STOP $$");
  CHECK(stopped.ask(Deadline::after(2s)).reason == "timeout");
  CHECK(stopped.lifeline.was_let_go());
  const Script killer(hold + "kill -KILL $PPID; exec sleep 1000");
  const Answer answer = killer.ask();
  CHECK(answer.verdict == Verdict::no);
  CHECK(answer.reason == "signal");
  CHECK(answer.sentence ==
        "check_it: was killed together with what looked after it; what it started may go on running");
  CHECK(killer.lifeline.was_let_go());
}

TEST_CASE("what hangs in the kernel is not waited for again and again") {
  Duration took{};
  unsigned late = 0;
  bool gone = false;
  const auto before = children();
  const std::string problem = with_dead_file_system([&](DeadFileSystem& dead) {
    std::vector<std::unique_ptr<Program>> programs;
    for (int i = 0; i < 50; ++i) {
      programs.push_back(std::make_unique<Program>(Words{dead.path() + "/program"}, Words{}));
      const auto run = programs.back()->run(Deadline::after(1ms));
      if (run && run->end == ProgramRun::End::late) ++late;
    }
    const auto begin = Clock::now();
    programs.clear();
    took = std::chrono::duration_cast<Duration>(Clock::now() - begin);
    dead.abort();
    gone = no_more_children(before, Deadline::after(20s));
    while (waitpid(-1, nullptr, WNOHANG) > 0) continue; // nobody else takes note of them
  });
  if (!problem.empty()) {
    WARN("cannot be tested here: " << problem);
    SUCCEED();
    return;
  }
  CHECK(late == 50);
  CHECK(took < 3s);
  CHECK(gone);
}

TEST_CASE("all of it ends with the tool, however that ends") {
  const Script script(hold + "setsid sleep 1000 &\nsleep 1000");
  const auto check = script.check();
  const pid_t tool = fork();
  REQUIRE(tool >= 0);
  if (tool == 0) {
    (void)check->ask(Deadline::never());
    _exit(0);
  }
  CHECK(script.lifeline.is_held());
  REQUIRE(kill(tool, SIGKILL) == 0);
  REQUIRE(waitpid(tool, nullptr, 0) == tool);
  CHECK(script.lifeline.was_let_go());
}

TEST_CASE("a check is asked again and again, also after its time limit, and leaves no zombies") {
  const auto zombies = [] {
    int count = 0;
    while (waitpid(-1, nullptr, WNOHANG) > 0) ++count;
    return count;
  };
  (void)zombies();
  const Script script("[ -e \"${0%/*}/slow\" ] && sleep 1000\necho quick");
  const auto check = script.check();
  for (int i = 0; i < 3; ++i) {
    CHECK(check->ask(soon()).verdict == Verdict::yes);
    script.scratch.write("slow", "");
    CHECK(check->ask(Deadline::after(100ms)).reason == "timeout");
    REQUIRE(unlink((script.scratch / "slow").c_str()) == 0);
  }
  CHECK(check->ask(soon()).verdict == Verdict::yes);
  CHECK(zombies() <= 1); // the last one, on a busy machine
}

TEST_CASE("many programs run side by side") {
  const Script script("sleep 0.2; echo done; exit 1");
  std::vector<Answer> answers(30);
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (auto& answer : answers) threads.emplace_back([&] { answer = script.ask(); });
  for (auto& thread : threads) thread.join();
  CHECK(Clock::now() - begin < 5s); // six seconds one after the other
  for (const auto& answer : answers) CHECK(answer.sentence == "check_it: done (exit status 1)");
}
