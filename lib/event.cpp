#include "event.hpp"

#include <sys/epoll.h>

namespace safe_deploy {

namespace {

std::uint64_t microseconds(Clock::time_point when) {
  if (when == Clock::time_point::max()) return UINT64_MAX; // sd_event_add_time(3): never
  return static_cast<std::uint64_t>(std::chrono::ceil<Duration>(when.time_since_epoch()).count());
}

// Timers fire as exactly as the kernel can: sd-event's default accuracy is 250 ms, 0 would stand for it.
constexpr std::uint64_t exact = 1;

} // namespace

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
  Handler& handler = add_handler(std::move(callback));
  sd_event_source* source = nullptr;
  const auto call = [](sd_event_source*, std::uint64_t, void* self) {
    static_cast<Handler*>(self)->callback();
    return 0;
  };
  note(sd_event_add_time(event_.get(), &source, CLOCK_MONOTONIC, UINT64_MAX, exact, call, &handler),
       "cannot set a timer");
  if (source != nullptr) note(sd_event_source_set_enabled(source, SD_EVENT_OFF), "cannot stop a timer");
  handler.source.reset(source);
  timers_.push_back(&handler);
  return timers_.size() - 1;
}

void EventLoop::arm(std::size_t timer, Clock::time_point when) {
  sd_event_source* source = timers_[timer]->source.get();
  note(sd_event_source_set_time(source, microseconds(when)), "cannot set a timer");
  note(sd_event_source_set_enabled(source, SD_EVENT_ONESHOT), "cannot start a timer");
}

void EventLoop::disarm(std::size_t timer) {
  note(sd_event_source_set_enabled(timers_[timer]->source.get(), SD_EVENT_OFF), "cannot stop a timer");
}

void EventLoop::stop() {
  note(sd_event_exit(event_.get(), 0), "cannot stop");
}

Result<void> EventLoop::run() {
  if (!failure_) return failure_;
  note(sd_event_loop(event_.get()), "cannot run");
  return failure_;
}

} // namespace safe_deploy
