#pragma once

#include <algorithm>
#include <chrono>
#include <climits>

namespace safe_deploy {

// CLOCK_MONOTONIC: the clock of every wait. libstdc++'s steady_clock is that clock.
using Clock = std::chrono::steady_clock;
using Duration = std::chrono::microseconds;

// "Without limit" for a duration; `0` and `infinity` on a command line both mean this for a timeout.
inline constexpr Duration without_limit = Duration::max();

// A point in time that everything in one run must meet. It is passed down to every call that can wait.
class Deadline {
 public:
  static Deadline never() { return Deadline(Clock::time_point::max()); }
  static Deadline at(Clock::time_point when, Clock::time_point now = Clock::now()) {
    return Deadline(when, std::max(Duration::zero(), std::chrono::duration_cast<Duration>(when - now)));
  }

  // `timeout` of zero or without_limit: never.
  static Deadline after(Duration timeout, Clock::time_point now = Clock::now()) {
    // In microseconds: without_limit has no value in the clock's nanoseconds.
    if (timeout <= Duration::zero() ||
        timeout >= std::chrono::duration_cast<Duration>(Clock::time_point::max() - now))
      return never();
    return Deadline(now + timeout, timeout);
  }

  [[nodiscard]] Clock::time_point when() const { return when_; }
  [[nodiscard]] bool is_never() const { return when_ == Clock::time_point::max(); }
  [[nodiscard]] bool has_passed(Clock::time_point now = Clock::now()) const { return now >= when_; }

  // What is left, never negative; without_limit if there is no limit.
  [[nodiscard]] Duration remaining(Clock::time_point now = Clock::now()) const {
    if (is_never()) return without_limit;
    return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(when_ - now));
  }

  // What was left when it was set: the time that is told where it has passed, however late somebody noticed.
  [[nodiscard]] Duration given() const { return given_; }

  // What is left, as poll(2) takes it: in milliseconds, rounded up; -1 without limit.
  [[nodiscard]] int for_poll() const {
    if (is_never()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(remaining()).count();
    return static_cast<int>(std::min<std::chrono::milliseconds::rep>(left, INT_MAX));
  }

  [[nodiscard]] Deadline earlier(const Deadline& other) const { return other.when_ < when_ ? other : *this; }

 private:
  explicit Deadline(Clock::time_point when, Duration given = without_limit) : when_(when), given_(given) {}
  Clock::time_point when_;
  Duration given_;
};

} // namespace safe_deploy
