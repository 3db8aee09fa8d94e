#include "policy.hpp"

#include "event.hpp"
#include "fd.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

namespace safe_deploy {

namespace {

// How long a check may overrun its own time before it is given up: it knows its deadline and
// should tell better than we can why it was not met.
constexpr auto grace = std::chrono::milliseconds(50);

// A check is to be done so much before the end of the wait, so that it can say itself how far it came.
constexpr Duration heads_up = std::chrono::milliseconds(20);
// No check is asked again in the last moment: an answer would hardly come.
constexpr Duration last_moment = std::chrono::milliseconds(50);

// What has not happened within this time is asked for less often, where it is asked for all the time.
constexpr auto soon = std::chrono::seconds(1);

// What an answer, of the check or its gate, means by how it is asked.
Answer judged(const Asked& asked, Answer answer) {
  if (asked.required && answer.verdict == Verdict::skipped) answer.verdict = Verdict::no;
  if (asked.warning_only && answer.verdict == Verdict::no) answer.verdict = Verdict::warning;
  return answer;
}

// At the start of a thread that asks one check and no other. What comes of it the check sees that cares
// (exec).
void become_user_of(const Check& check) {
  if (check.user() != nullptr) (void)become_on_this_thread(*check.user());
}

Answer not_answered(const Asked& asked, Duration within, bool hangs = true) {
  return judged(asked, Answer::no("timeout", fmt::format("no answer within {}{}", format_duration(within),
                                                         hangs ? ", and it still hangs" : "")));
}

Asking ask_timed(const Asked& asked, const Deadline& deadline) {
  const auto start = Clock::now();
  Answer answer =
      judged(asked, asked.check->ask(deadline.earlier(Deadline::after(asked.attempt_timeout, start))));
  return {asked.name, std::move(answer), std::chrono::duration_cast<Duration>(Clock::now() - start)};
}

bool same_answer(const Answer& a, const Answer& b) {
  return a.verdict == b.verdict && a.reason == b.reason && a.sentence == b.sentence;
}

// One run of ask_once, shared with its threads: one that hangs outlives the run.
struct OnceRun {
  struct Item {
    std::optional<Clock::time_point> begun = {}; // the attempt that is under way
    std::optional<Asking> answer = {};
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Item> items;

  void change(std::size_t i, Item to) {
    const std::lock_guard lock(mutex);
    items[i] = std::move(to);
    changed.notify_all();
  }
};

void ask_repeatedly(OnceRun& run, std::size_t i, const Asked& asked, const Deadline& deadline) {
  for (unsigned attempt = 1;; ++attempt) {
    run.change(i, {.begun = Clock::now()});
    Asking asking = ask_timed(asked, deadline);
    if (asking.answer.verdict != Verdict::no || attempt >= asked.attempts || deadline.has_passed())
      return run.change(i, {.answer = std::move(asking)});
    run.change(i, {});
    std::this_thread::sleep_for(std::min(asked.interval, deadline.remaining()));
  }
}

// The attempt that is under way has this much time, and no other follows one that hangs.
Deadline given_up_at(const OnceRun::Item& item, const Asked& asked, const Deadline& deadline) {
  if (!item.begun) return deadline;
  return deadline.earlier(Deadline::after(asked.attempt_timeout, *item.begun));
}

} // namespace

std::vector<Asking> ask_once(std::vector<Asked> checks, const Deadline& deadline) {
  const auto start = Clock::now();
  auto run = std::make_shared<OnceRun>();
  run->items.resize(checks.size());
  for (std::size_t i = 0; i < checks.size(); ++i)
    if (!checks[i].check->instant())
      std::thread([run, i, asked = checks[i], deadline] {
        become_user_of(*asked.check);
        ask_repeatedly(*run, i, asked, deadline);
      }).detach();
  for (std::size_t i = 0; i < checks.size(); ++i)
    if (checks[i].check->instant()) ask_repeatedly(*run, i, checks[i], deadline);

  std::vector<Asking> answers;
  std::unique_lock lock(run->mutex);
  for (std::size_t i = 0; i < checks.size(); ++i) {
    const auto& item = run->items[i];
    const Asked& asked = checks[i];
    while (!item.answer) {
      const Deadline limit = given_up_at(item, asked, deadline);
      if (limit.is_never())
        run->changed.wait(lock);
      else if (limit.has_passed(Clock::now() - grace))
        break;
      else
        run->changed.wait_until(lock, limit.when() + grace);
    }
    answers.push_back(item.answer
                          ? *item.answer
                          : Asking{asked.name,
                                   not_answered(asked, std::min(asked.attempt_timeout, deadline.given())),
                                   std::chrono::duration_cast<Duration>(Clock::now() - start)});
  }
  return answers;
}

Duration Pace::next() {
  // The nanosecond in which two waiters begin is not the same: that is all the chance that is needed.
  static thread_local std::minstd_rand random{
      static_cast<std::minstd_rand::result_type>(Clock::now().time_since_epoch().count())};
  const Duration pause = next_;
  next_ = std::min(longest_, next_ + next_ / 2 + Duration(1));
  std::uniform_int_distribution<Duration::rep> jitter(-pause.count() / 10, 0);
  return pause + Duration(jitter(random));
}

namespace {

// Asks one check on a thread of its own, one ask at a time. The thread shares the state, so that an ask
// that never returns can be left behind.
class Worker {
 public:
  static Result<std::unique_ptr<Worker>> create(const Asked& asked) {
    auto shared = std::make_shared<Shared>();
    shared->answered.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!shared->answered) return fail_errno("eventfd", "cannot create");
    std::thread thread([shared, asked] { serve(*shared, asked); });
    return std::unique_ptr<Worker>(new Worker(std::move(shared), std::move(thread)));
  }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  ~Worker() {
    bool idle = false;
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->quit = true;
      idle = !shared_->question.has_value();
      shared_->changed.notify_all();
    }
    if (idle)
      thread_.join();
    else
      thread_.detach();
  }

  [[nodiscard]] int answered_fd() const { return shared_->answered.get(); }

  void ask(const Deadline& deadline) {
    const std::lock_guard lock(shared_->mutex);
    shared_->question = deadline;
    shared_->changed.notify_all();
  }

  std::optional<Asking> take_answer() {
    std::uint64_t count = 0;
    (void)!read(shared_->answered.get(), &count, sizeof count);
    const std::lock_guard lock(shared_->mutex);
    return std::exchange(shared_->answer, std::nullopt);
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Deadline> question; // until it is answered
    std::optional<Asking> answer;
    bool quit = false;
    Fd answered;
  };

  Worker(std::shared_ptr<Shared> shared, std::thread thread)
      : shared_(std::move(shared)), thread_(std::move(thread)) {}

  static void serve(Shared& shared, const Asked& asked) {
    become_user_of(*asked.check);
    std::unique_lock lock(shared.mutex);
    for (;;) {
      shared.changed.wait(lock, [&] { return shared.quit || shared.question; });
      if (shared.quit) return;
      const Deadline deadline = *shared.question;
      lock.unlock();
      Asking asking = ask_timed(asked, deadline);
      lock.lock();
      shared.question.reset();
      shared.answer = std::move(asking);
      const std::uint64_t one = 1;
      (void)!write(shared.answered.get(), &one, sizeof one);
    }
  }

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

class Waiter {
 public:
  explicit Waiter(UntilYes wait) : wait_(std::move(wait)) {
    for (const auto& asked : wait_.checks) items_.emplace_back(asked, wait_);
    holding_ = wait_.is_there && wait_.hold > Duration::zero();
    if (holding_) wait_.deadline = Deadline::never();
  }

  Result<Waited> run() {
    // Before anybody is told that we wait, and before the workers start, which must not take the signals.
    const BlockedSignals blocked;
    if (auto watched = watch_process(); !watched) return forward_error(watched);
    if (!ended_) ask_instant_ones();
    if (!ended_ && wait_.deadline.has_passed()) end(Waited::End::timed_out);
    if (!ended_) {
      if (auto looped = loop(); !looped) return forward_error(looped);
    }
    waited_.elapsed = elapsed();
    for (auto& item : items_) {
      waited_.attempts = std::max(waited_.attempts, item.attempts);
      waited_.answers.push_back(item.last ? *item.last : never_answered(item));
    }
    return waited_;
  }

 private:
  struct Item {
    Item(const Asked& a, const UntilYes& wait)
        : asked(a),
          instant(a.check->instant()),
          pace(wait.first_pause, wait.longest_pause),
          instant_pace(std::chrono::milliseconds(1), wait.instant_pause) {}

    Asked asked;
    bool instant;
    Pace pace;
    Pace instant_pace; // of an instant check, or of the gate
    std::unique_ptr<Worker> worker = {};
    bool asking = false;   // the worker is at it
    bool given_up = false; // the worker is at it for longer than it may be
    bool at_gate = false;  // `last` is the gate's
    bool held = false;     // answered at the end of the hold
    std::size_t ask_timer = 0;
    std::size_t give_up_timer = 0;
    std::optional<Asking> last = {};
    unsigned yeses = 0; // in a row
    unsigned noes = 0;  // likewise
    unsigned attempts = 0;
  };

  [[nodiscard]] Duration elapsed() const {
    return std::chrono::duration_cast<Duration>(Clock::now() - wait_.started);
  }

  [[nodiscard]] Asking never_answered(const Item& item) const {
    const Duration within = std::min(item.asked.attempt_timeout, waited_.elapsed);
    return {item.asked.name, not_answered(item.asked, within, false), {}};
  }

  void end(Waited::End how) {
    if (ended_) return;
    ended_ = true;
    waited_.end = how;
    if (loop_) loop_->stop();
  }

  Result<void> watch_process() {
    if (wait_.pid == 0) return {};
    pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, wait_.pid, 0)));
    if (!pidfd_ && errno == ESRCH) {
      end(Waited::End::process_ended);
      return {};
    }
    if (!pidfd_) return fail_errno(fmt::format("process {}", wait_.pid), "cannot watch");
    if (process_has_ended()) end(Waited::End::process_ended);
    return {};
  }

  [[nodiscard]] bool process_has_ended(int milliseconds = 0) const {
    pollfd state{pidfd_.get(), POLLIN, 0};
    return pidfd_ && poll(&state, 1, milliseconds) == 1;
  }

  // Before anything is set up: a wait that is over already should cost next to nothing.
  void ask_instant_ones() {
    for (auto& item : items_)
      if (item.instant) take(item, ask_timed(item.asked, wait_.deadline));
    judge();
  }

  Result<void> loop() {
    auto created = EventLoop::create();
    if (!created) return forward_error(created);
    loop_ = &*created;
    for (const int signal : {SIGTERM, SIGINT}) {
      loop_->on_signal(signal, [this, signal] {
        waited_.signal = signal;
        end(Waited::End::signalled);
      });
    }
    if (pidfd_) loop_->on_readable(pidfd_.get(), [this] { end(Waited::End::process_ended); });
    if (wait_.extra_fd >= 0) {
      loop_->on_readable(wait_.extra_fd, [this] { on_extra(); });
      on_extra(); // what was so before
    }
    deadline_timer_ = loop_->add_timer([this] { on_deadline(); });
    if (!wait_.deadline.is_never()) loop_->arm(deadline_timer_, wait_.deadline.when());
    if (wait_.tick > Duration::zero()) {
      tick_timer_ = loop_->add_timer([this] {
        wait_.on_tick(elapsed());
        loop_->arm(tick_timer_, Clock::now() + wait_.tick);
      });
      loop_->arm(tick_timer_, Clock::now() + wait_.tick);
    }
    for (auto& item : items_)
      if (auto added = add(item); !added) return forward_error(added);
    if (holding_) begin_hold();
    if (items_.empty()) judge(); // nobody will answer
    auto ran = loop_->run();
    for (auto& item : items_) item.worker.reset();
    loop_ = nullptr;
    return ran;
  }

  Result<void> add(Item& item) {
    item.ask_timer = loop_->add_timer([this, &item] { ask(item); });
    for (Check* check : {item.asked.check.get(), item.asked.gate.get()})
      if (check != nullptr && check->wake_fd() >= 0)
        loop_->on_readable(check->wake_fd(), [this, &item] { ask(item); });
    if (item.instant) {
      loop_->arm(item.ask_timer, Clock::now() + item.instant_pace.next());
      return {};
    }
    auto worker = Worker::create(item.asked);
    if (!worker) return forward_error(worker);
    item.worker = std::move(*worker);
    item.give_up_timer = loop_->add_timer([this, &item] { give_up(item); });
    loop_->on_readable(item.worker->answered_fd(), [this, &item] { on_worker(item); });
    ask(item);
    return {};
  }

  void ask(Item& item) {
    if (ended_ || item.asking) return;
    if (item.instant) {
      settle(item, ask_timed(item.asked, wait_.deadline));
      return;
    }
    if (item.asked.gate) {
      Answer answer = item.asked.gate->ask(wait_.deadline);
      item.at_gate = !answer.good();
      if (item.at_gate) {
        answer.counts = false;
        settle(item, {item.asked.name, judged(item.asked, std::move(answer)), {}});
        return;
      }
    }
    const Duration left = holding_ ? without_limit : wait_.deadline.remaining();
    if (item.last && left < last_moment) return; // what it could still say is less than what it said
    item.asking = true;
    item.worker->ask(left == without_limit
                         ? Deadline::never()
                         : Deadline::at(wait_.deadline.when() - std::min(heads_up, left / 10)));
    if (item.asked.attempt_timeout != without_limit)
      loop_->arm(item.give_up_timer, Clock::now() + item.asked.attempt_timeout + grace);
  }

  void on_worker(Item& item) {
    auto asking = item.worker->take_answer();
    if (!asking) return;
    loop_->disarm(item.give_up_timer);
    item.asking = item.given_up = false;
    settle(item, std::move(*asking));
  }

  // The worker goes on with its ask, and is not asked again before it is back.
  void give_up(Item& item) {
    item.given_up = true;
    take(item,
         {item.asked.name, not_answered(item.asked, item.asked.attempt_timeout), item.asked.attempt_timeout});
    // It cannot be asked again as long as it hangs.
    if (holding_ && item.last->answer.objects()) lost_ = &item;
    judge();
    if (closing_) hold(item);
  }

  // Takes an answer, sees whether that ends the wait, and says when to ask again.
  void settle(Item& item, Asking asking) {
    take(item, std::move(asking));
    judge();
    if (ended_) return;
    const Answer& answer = item.last->answer;
    if (closing_ && !answer.objects()) {
      hold(item);
      return;
    }
    if (holding_) {
      loop_->arm(item.ask_timer, Clock::now() + item.asked.interval);
      return;
    }
    const bool instant = item.instant || (item.at_gate && answer.verdict != Verdict::skipped);
    if (is_final_skip(item) || (!answer.objects() && !instant)) {
      loop_->arm(item.ask_timer, Clock::now() + wait_.longest_pause);
    } else {
      Duration pause = instant ? item.instant_pace.next() : item.pace.next();
      if (instant && elapsed() > soon) pause += pause / 2;
      loop_->arm(item.ask_timer, Clock::now() + pause);
    }
  }

  void take(Item& item, Asking asking) {
    const Answer& answer = asking.answer;
    const bool changed = !item.last || !same_answer(item.last->answer, answer);
    item.yeses = answer.good() && !item.at_gate ? item.yeses + 1 : 0;
    item.noes = answer.objects() ? item.noes + 1 : 0;
    if (answer.objects() && answer.counts) ++item.attempts;
    item.last = std::move(asking);
    if (changed && wait_.on_answer) wait_.on_answer(*item.last, elapsed());
    const bool used_up =
        holding_ ? item.noes >= item.asked.attempts : wait_.attempts != 0 && item.attempts >= wait_.attempts;
    if (item.last->answer.objects() && (item.last->answer.final || used_up)) lost_ = &item;
  }

  // One that cannot be asked, now or later.
  static bool is_final_skip(const Item& item) {
    return item.last && item.last->answer.verdict == Verdict::skipped && item.last->answer.final;
  }

  // Those that warn while nobody listens yet, and those that cannot be asked, are not waited for, nor are
  // they a yes by themselves: the first may warn of nothing a moment later, the other be asked.
  [[nodiscard]] bool is_reached() const {
    const auto is_yes = [this](const Item& item) { return item.yeses >= wait_.rise; };
    if (wait_.any) return std::any_of(items_.begin(), items_.end(), is_yes);
    const auto warns_at_gate = [](const Item& item) {
      return item.at_gate && item.last->answer.verdict == Verdict::warning;
    };
    const auto is_skipped = [](const Item& item) {
      return item.last && item.last->answer.verdict == Verdict::skipped;
    };
    if (!std::all_of(items_.begin(), items_.end(), [&](const Item& item) {
          return is_yes(item) || warns_at_gate(item) || is_skipped(item);
        }))
      return false;
    return std::any_of(items_.begin(), items_.end(),
                       [&](const Item& item) { return is_yes(item) || warns_at_gate(item); }) ||
           std::all_of(items_.begin(), items_.end(), is_final_skip);
  }

  // Whether what is known now ends the wait.
  void judge() {
    if (lost_ != nullptr) {
      const auto hopeless = [this](const Item& item) {
        return item.last && item.last->answer.objects() &&
               (item.last->answer.final || (wait_.attempts != 0 && item.attempts >= wait_.attempts));
      };
      if (holding_ || !wait_.any || std::all_of(items_.begin(), items_.end(), hopeless)) {
        waited_.decisive = static_cast<std::size_t>(lost_ - items_.data());
        // A process that ends closes its sockets first: that a connection broke is not the reason then.
        constexpr int moment = 50;
        end(!holding_                   ? Waited::End::gave_up
            : process_has_ended(moment) ? Waited::End::process_ended
                                        : Waited::End::fell);
        return;
      }
      lost_ = nullptr;
    }
    if (holding_ || ended_) return;
    if (!is_reached()) return;
    if (items_.size() > 1 && !wait_.any && !still_so()) return;
    if (process_has_ended()) { // its last answer says nothing about what runs now
      end(Waited::End::process_ended);
      return;
    }
    if (wait_.hold <= Duration::zero()) {
      end(Waited::End::yes);
    } else if (loop_ != nullptr) {
      holding_ = true;
      begin_hold();
    }
  }

  void begin_hold() {
    const Deadline held = Deadline::after(wait_.hold);
    if (held.is_never())
      loop_->disarm(deadline_timer_);
    else
      loop_->arm(deadline_timer_, held.when());
    // The pauses are those of the hold from now on.
    for (auto& item : items_)
      if (item.last && !item.asking) loop_->arm(item.ask_timer, Clock::now() + item.asked.interval);
  }

  // Of several instant checks the first may have changed its mind while the last one was awaited.
  bool still_so() {
    for (auto& item : items_) {
      if (!item.instant) continue;
      take(item, ask_timed(item.asked, wait_.deadline));
      if (item.last->answer.objects()) return false;
    }
    return true;
  }

  void on_deadline() {
    if (!holding_) {
      end(Waited::End::timed_out);
      return;
    }
    // It has held when it still says so: what is being asked now, or is asked now, is the last answer.
    // One that hangs has said its last word.
    closing_ = true;
    for (auto& item : items_) {
      item.held = item.held || item.given_up;
      ask(item);
    }
    end_if_held();
  }

  void hold(Item& item) {
    item.held = true;
    end_if_held();
  }

  void end_if_held() {
    if (std::all_of(items_.begin(), items_.end(), [](const Item& item) { return item.held; }))
      end(Waited::End::yes);
  }

  void on_extra() {
    auto told = wait_.on_extra();
    if (!told) return;
    waited_.told = std::move(*told);
    end(Waited::End::told);
  }

  UntilYes wait_;
  std::vector<Item> items_ = {};
  Fd pidfd_ = {};
  EventLoop* loop_ = nullptr;
  std::size_t deadline_timer_ = 0;
  std::size_t tick_timer_ = 0;
  bool holding_ = false;
  bool closing_ = false; // the hold is over but for the last answers
  bool ended_ = false;
  Item* lost_ = nullptr;
  Waited waited_ = {};
};

} // namespace

Result<Waited> wait_until_yes(UntilYes wait) {
  return Waiter(std::move(wait)).run();
}

} // namespace safe_deploy
