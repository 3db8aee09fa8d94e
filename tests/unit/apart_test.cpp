#include "apart.hpp"

#include "catch.hpp"
#include "quantity.hpp"

#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

using namespace safe_deploy;
using std::chrono::milliseconds;

namespace {

Deadline soon() {
  return Deadline::after(std::chrono::seconds(10));
}

} // namespace

TEST_CASE("questions are answered by one other process") {
  Apart apart([] {
    return [count = 0](std::string_view question) mutable {
      return std::to_string(getpid()) + " " + std::to_string(++count) + " " + std::string(question);
    };
  });
  REQUIRE(apart.start());
  const auto first = apart.ask("a", soon());
  const std::string long_one(3'000'000, 'x');
  const auto second = apart.ask(long_one, soon());
  REQUIRE(first);
  REQUIRE(second);
  const std::string pid = first->substr(0, first->find(' '));
  CHECK(pid != std::to_string(getpid()));
  CHECK(*first == pid + " 1 a");
  CHECK(*second == pid + " 2 " + long_one);
}

TEST_CASE("one that takes too long is killed, and the next question goes to a new one") {
  Apart apart([] {
    return [](std::string_view question) -> std::string {
      for (;;)
        if (question != "hang") return "answered";
    };
  });
  const auto begin = Clock::now();
  const auto hung = apart.ask("hang", Deadline::after(milliseconds(50)));
  REQUIRE_FALSE(hung);
  CHECK(hung.error().outcome() == Outcome::timed_out);
  CHECK(hung.error().problem == "no answer within 50ms");
  CHECK(Clock::now() - begin < std::chrono::seconds(5));
  CHECK(apart.ask("", soon()) == "answered");
}

TEST_CASE("one that does not get to its work in time is late, too") {
  Apart apart([]() -> Apart::Handler {
    pause();
    return {};
  });
  CHECK(apart.ask("x", Deadline::after(milliseconds(20))).error().outcome() == Outcome::timed_out);
}

TEST_CASE("one that dies is told, and the next question goes to a new one") {
  const auto prepare = [] {
    return [](std::string_view question) -> std::string {
      if (question == "die") _exit(3);
      if (question == "killed") (void)kill(getpid(), SIGKILL);
      return "alive";
    };
  };
  // Whether it has a limit of memory is not what it died of.
  for (const std::uint64_t memory : {std::uint64_t{0}, std::uint64_t{32} << 20U}) {
    Apart apart(prepare, memory);
    const auto ended = apart.ask("die", soon());
    REQUIRE_FALSE(ended);
    CHECK(ended.error().outcome() == Outcome::os_error);
    CHECK(ended.error().text() == "the process that looks exited with status 3");
    CHECK(apart.ask("x", soon()) == "alive");
    CHECK(apart.ask("killed", soon()).error().text() == "the process that looks was killed by SIGKILL");
    CHECK(apart.ask("x", soon()) == "alive");
  }
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if !__has_feature(address_sanitizer)
TEST_CASE("the memory of one is limited, and that it was not enough is told") {
  Apart apart(
      [] {
        return [](std::string_view question) -> std::string {
          if (question == "new") return std::string(std::size_t{64} << 20U, 'x').substr(0, 4);
          const auto size = static_cast<std::size_t>(parse_size(question).value());
          void* const memory = std::malloc(size);
          if (memory == nullptr) std::abort();
          std::memset(memory, 1, size);
          std::free(memory);
          return "done";
        };
      },
      std::uint64_t{32} << 20U);
  CHECK(apart.ask("16M", soon()) == "done");
  const auto failed = apart.ask("64M", soon());
  REQUIRE_FALSE(failed);
  CHECK(failed.error().outcome() == Outcome::no);
  CHECK(failed.error().problem == "more than 32M of memory would be needed");
  CHECK(apart.ask("16M", soon()) == "done");
  CHECK(apart.ask("new", soon()).error().problem == "more than 32M of memory would be needed");
  CHECK(apart.ask("16M", soon()) == "done");
}
#endif
