#pragma once

#include "deadline.hpp"
#include "error.hpp"

#include <signal.h>
#include <systemd/sd-event.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace safe_deploy {

// SIGTERM and SIGINT are blocked while it lives, so that an event loop (and no thread) takes them; afterwards
// the mask is as before, also for a command that is executed then.
class BlockedSignals {
 public:
  BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals();

 private:
  sigset_t before_{};
};

// A thin seam over sd-event: callbacks are function objects, sources live as long as the loop. The first call
// that fails is kept and returned by run().
class EventLoop {
 public:
  static Result<EventLoop> create();

  // Level-triggered, as long as the descriptor is readable.
  void on_readable(int fd, std::function<void()> callback);
  void on_signal(int signal, std::function<void()> callback);

  // A timer, unarmed at first; the index is for arm(). They are no sd-event sources, each of whose settings
  // and firings costs system calls: the next one that is due is how long the loop waits.
  std::size_t add_timer(std::function<void()> callback);
  void arm(std::size_t timer, Clock::time_point when);
  void disarm(std::size_t timer);

  // Ends run(), also one that is yet to come.
  void stop();
  Result<void> run();

  [[nodiscard]] sd_event* get() const { return event_.get(); }

 private:
  struct EventDeleter {
    void operator()(sd_event* event) const { sd_event_unref(event); }
  };
  struct SourceDeleter {
    void operator()(sd_event_source* source) const { sd_event_source_disable_unref(source); }
  };
  struct Handler {
    std::function<void()> callback;
    std::unique_ptr<sd_event_source, SourceDeleter> source;
  };

  EventLoop() = default;
  void note(int result, const char* what);
  Handler& add_handler(std::function<void()> callback);
  [[nodiscard]] std::uint64_t microseconds_to_next() const;
  void fire_due();

  std::unique_ptr<sd_event, EventDeleter> event_;
  std::vector<std::unique_ptr<Handler>> handlers_;
  struct Timer {
    std::function<void()> callback;
    Clock::time_point due = Clock::time_point::max(); // max: not armed
  };
  std::vector<std::unique_ptr<Timer>> timers_;
  std::set<std::pair<Clock::time_point, std::size_t>> armed_; // the timers by when they are due
  bool stopped_ = false;
  Result<void> failure_;
};

} // namespace safe_deploy
