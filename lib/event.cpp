#include "event.hpp"

#include <sys/epoll.h>

#include <algorithm>

namespace safe_deploy {

BlockedSignals::BlockedSignals() {
  sigset_t blocked;
  (void)sigemptyset(&blocked);
  (void)sigaddset(&blocked, SIGTERM);
  (void)sigaddset(&blocked, SIGINT);
  (void)pthread_sigmask(SIG_BLOCK, &blocked, &before_);
}

BlockedSignals::~BlockedSignals() {
  (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Result<EventLoop> EventLoop::create() {
  EventLoop loop;
  sd_event* event = nullptr;
  if (const int result = sd_event_new(&event); result < 0)
    return fail_errno("event loop", "cannot create", -result);
  loop.event_.reset(event);
  return loop;
}

void EventLoop::note(int result, const char* what) {
  if (result < 0 && failure_) failure_ = fail_errno("event loop", what, -result);
}

EventLoop::Handler& EventLoop::add_handler(std::function<void()> callback) {
  handlers_.push_back(std::make_unique<Handler>(Handler{std::move(callback), nullptr}));
  return *handlers_.back();
}

void EventLoop::on_readable(int fd, std::function<void()> callback) {
  Handler& handler = add_handler(std::move(callback));
  sd_event_source* source = nullptr;
  const auto call = [](sd_event_source*, int, std::uint32_t, void* self) {
    static_cast<Handler*>(self)->callback();
    return 0;
  };
  note(sd_event_add_io(event_.get(), &source, fd, EPOLLIN, call, &handler), "cannot watch a descriptor");
  handler.source.reset(source);
}

void EventLoop::on_signal(int signal, std::function<void()> callback) {
  Handler& handler = add_handler(std::move(callback));
  sd_event_source* source = nullptr;
  const auto call = [](sd_event_source*, const struct signalfd_siginfo*, void* self) {
    static_cast<Handler*>(self)->callback();
    return 0;
  };
  note(sd_event_add_signal(event_.get(), &source, signal, call, &handler), "cannot watch a signal");
  handler.source.reset(source);
}

std::size_t EventLoop::add_timer(std::function<void()> callback) {
  timers_.push_back(std::make_unique<Timer>(Timer{std::move(callback)}));
  return timers_.size() - 1;
}

void EventLoop::arm(std::size_t timer, Clock::time_point when) {
  disarm(timer);
  timers_[timer]->due = when;
  if (when != Clock::time_point::max()) armed_.insert({when, timer});
}

void EventLoop::disarm(std::size_t timer) {
  armed_.erase({timers_[timer]->due, timer});
  timers_[timer]->due = Clock::time_point::max();
}

// sd_event_run(3): UINT64_MAX for ever. Rounded up, so that what is due then is due.
std::uint64_t EventLoop::microseconds_to_next() const {
  if (armed_.empty()) return UINT64_MAX;
  const auto left = std::chrono::ceil<Duration>(armed_.begin()->first - Clock::now());
  return static_cast<std::uint64_t>(std::max(left, Duration::zero()).count());
}

void EventLoop::fire_due() {
  const auto now = Clock::now(); // once: a timer that is armed anew waits for the next turn
  while (!stopped_ && !armed_.empty() && armed_.begin()->first <= now) {
    const std::size_t timer = armed_.begin()->second;
    disarm(timer);
    timers_[timer]->callback();
  }
}

void EventLoop::stop() {
  stopped_ = true;
}

Result<void> EventLoop::run() {
  if (!failure_) return failure_;
  while (!stopped_ && failure_) {
    note(sd_event_run(event_.get(), microseconds_to_next()), "cannot run");
    fire_due();
  }
  return failure_;
}

} // namespace safe_deploy
