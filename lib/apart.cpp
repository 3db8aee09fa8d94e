#include "apart.hpp"

#include "process.hpp"
#include "quantity.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>

namespace safe_deploy {

namespace {

// How long a process that was killed is waited for: longer than it takes where it can be killed at all.
constexpr auto dying = std::chrono::milliseconds(100);

#ifdef __SANITIZE_ADDRESS__
#define SAFE_DEPLOY_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SAFE_DEPLOY_SANITIZED
#endif
#endif
#ifdef SAFE_DEPLOY_SANITIZED
constexpr bool can_limit_memory = false; // the sanitizer's own memory is without measure
#else
constexpr bool can_limit_memory = true;
#endif

// Its exit status where memory that was asked for is not to be had.
constexpr int without_memory = 117;

// --- in the new process

// getrlimit(2): RLIMIT_DATA counts private writable memory, which is the sixth number of /proc/PID/statm
// (proc(5)).
void limit_memory(std::uint64_t more) {
  if (more == 0 || !can_limit_memory) return;
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  for (int i = 0; i < 6; ++i) statm >> pages;
  if (!statm) return;
  const rlim_t limit = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) + more;
  const rlimit both{limit, limit};
  (void)setrlimit(RLIMIT_DATA, &both);
  std::set_new_handler([] { _exit(without_memory); });
}

bool read_all(int fd, void* to, std::size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t got = read(fd, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool send_all(int fd, const void* from, std::size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    at += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

// Nothing of the tool's is left open: its end of another such process's socket would keep that one alive.
void keep_only(int socket) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd) (void)dup2(null, fd);
  (void)dup2(socket, 3);
  (void)syscall(SYS_close_range, 4U, ~0U, 0U);
}

[[noreturn]] void serve(pid_t tool, int socket, const std::function<Apart::Handler()>& prepare,
                        std::uint64_t memory, const User* user) {
  if (user != nullptr) (void)become_on_this_thread(*user); // before what follows, which it would undo
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);                  // also in the middle of something endless
  if (getppid() != tool) _exit(0);                         // it had ended before that
  const rlimit no_core{0, 0};
  (void)setrlimit(RLIMIT_CORE, &no_core);
  keep_only(socket);
  limit_memory(memory);
  const Apart::Handler handler = prepare();
  std::uint64_t size = 0;
  std::string question;
  while (read_all(3, &size, sizeof size)) {
    question.resize(size);
    if (!read_all(3, question.data(), question.size())) break;
    const std::string answer = handler(question);
    size = answer.size();
    if (!send_all(3, &size, sizeof size) || !send_all(3, answer.data(), answer.size())) break;
  }
  _exit(0);
}

// --- in the tool

enum class Moved { all, late, closed };

// Sends or receives all of it by the deadline.
template <class Step>
Moved move_all(int fd, short event, std::size_t size, const Deadline& deadline, Step step) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t moved = step(done);
    if (moved > 0) {
      done += static_cast<std::size_t>(moved);
      continue;
    }
    if (moved == 0) return Moved::closed;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Moved::closed;
    pollfd state{fd, event, 0};
    if (poll(&state, 1, deadline.for_poll()) == 0) return Moved::late;
  }
  return Moved::all;
}

Moved send_within(int fd, std::string_view bytes, const Deadline& deadline) {
  return move_all(fd, POLLOUT, bytes.size(), deadline, [&](std::size_t done) {
    return send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
  });
}

Moved receive_within(int fd, char* to, std::size_t size, const Deadline& deadline) {
  return move_all(fd, POLLIN, size, deadline,
                  [&](std::size_t done) { return recv(fd, to + done, size - done, MSG_DONTWAIT); });
}

tl::unexpected<Error> late(const Deadline& deadline) {
  return fail(Outcome::timed_out, "", fmt::format("no answer within {}", format_duration(deadline.given())));
}

} // namespace

Apart::Apart(std::function<Handler()> prepare, std::uint64_t memory, UserPtr user)
    : prepare_(std::move(prepare)), memory_(memory), user_(std::move(user)) {}

Apart::~Apart() {
  if (pid_ == 0) return;
  const bool fresh = !killed_; // one that was killed before is gone by now, or hangs
  kill_it();
  if (fresh)
    (void)await_end(Deadline::after(dying));
  else
    (void)is_gone();
}

Result<void> Apart::start() {
  if (pid_ != 0) return {};
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
    return fail_errno("process", "cannot make a socket for one");
  const Fd theirs(ends[1]);
  socket_.reset(ends[0]);
  const pid_t tool = getpid();
  const pid_t pid = fork();
  if (pid < 0) return fail_errno("process", "cannot be made");
  if (pid == 0) serve(tool, theirs.get(), prepare_, memory_, user_.get());
  pid_ = pid;
  killed_ = false;
  ended_.reset();
  pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return {};
}

void Apart::kill_it() {
  socket_.reset();
  killed_ = true;
  (void)kill(pid_, SIGKILL); // it is ours until it is waited for
}

bool Apart::is_gone() {
  if (pid_ == 0) return true;
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0) return false;
  if (ended == pid_) ended_ = status;
  pid_ = 0;
  return true;
}

// One that hangs in the kernel does not end, killed or not.
Result<void> Apart::await_end(const Deadline& deadline) {
  while (!is_gone()) {
    pollfd ended{pidfd_.get(), POLLIN, 0};
    if (poll(&ended, 1, deadline.for_poll()) == 0) return late(deadline);
  }
  return {};
}

// libjq aborts where it gets no memory; who does not look whether he got some reads or writes at nothing.
tl::unexpected<Error> Apart::how_it_ended() const {
  const int status = ended_.value_or(0);
  const bool exited = ended_ && WIFEXITED(status);
  const int signal = ended_ && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const bool by_itself = signal == SIGABRT || signal == SIGSEGV || signal == SIGBUS;
  if (memory_ != 0 && can_limit_memory && (by_itself || (exited && WEXITSTATUS(status) == without_memory)))
    return fail(Outcome::no, "", fmt::format("more than {} of memory would be needed", format_size(memory_)));
  return fail(Outcome::os_error, "",
              fmt::format("the process that looks {}", ended_ ? describe_wait_status(status) : "ended"));
}

Result<std::string> Apart::ask(std::string_view question, const Deadline& deadline) {
  if (killed_)
    if (auto ended = await_end(deadline); !ended) return forward_error(ended);
  // One that was made by a thread that has ended since has ended with it (prctl(2), PR_SET_PDEATHSIG).
  (void)is_gone();
  if (auto started = start(); !started) return forward_error(started);
  std::uint64_t size = question.size();
  std::string answer;
  Moved moved = send_within(socket_.get(), {reinterpret_cast<const char*>(&size), sizeof size}, deadline);
  if (moved == Moved::all) moved = send_within(socket_.get(), question, deadline);
  if (moved == Moved::all)
    moved = receive_within(socket_.get(), reinterpret_cast<char*>(&size), sizeof size, deadline);
  if (moved == Moved::all) {
    answer.resize(size);
    moved = receive_within(socket_.get(), answer.data(), answer.size(), deadline);
  }
  if (moved == Moved::all) return answer;
  kill_it();                                       // one that is ending already ends as it would have
  if (moved == Moved::late) return late(deadline); // there is no time left to see it end
  (void)await_end(Deadline::after(dying));
  return how_it_ended();
}

} // namespace safe_deploy
