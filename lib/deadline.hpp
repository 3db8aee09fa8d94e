#pragma once

#include <algorithm>
#include <chrono>

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
  static Deadline at(Clock::time_point when) { return Deadline(when); }

  // `timeout` of zero or without_limit: never.
  static Deadline after(Duration timeout, Clock::time_point now = Clock::now()) {
    // In microseconds: without_limit has no value in the clock's nanoseconds.
    if (timeout <= Duration::zero() ||
        timeout >= std::chrono::duration_cast<Duration>(Clock::time_point::max() - now))
      return never();
    return Deadline(now + timeout);
  }

  [[nodiscard]] Clock::time_point when() const { return when_; }
  [[nodiscard]] bool is_never() const { return when_ == Clock::time_point::max(); }
  [[nodiscard]] bool has_passed(Clock::time_point now = Clock::now()) const { return now >= when_; }

  // What is left, never negative; without_limit if there is no limit.
  [[nodiscard]] Duration remaining(Clock::time_point now = Clock::now()) const {
    if (is_never()) return without_limit;
    return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(when_ - now));
  }

  [[nodiscard]] Deadline earlier(const Deadline& other) const {
    return Deadline(std::min(when_, other.when_));
  }

 private:
  explicit Deadline(Clock::time_point when) : when_(when) {}
  Clock::time_point when_;
};

} // namespace safe_deploy
