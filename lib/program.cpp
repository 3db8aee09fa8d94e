#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace safe_deploy {

namespace {

constexpr std::size_t most_out = std::size_t{64} << 10U;
constexpr std::size_t most_err = std::size_t{16} << 10U;

// For how long the end of what the program left running is awaited, and of the program itself when its time
// is up. It takes a millisecond; what does not end (it hangs in the kernel) is not waited for.
constexpr auto dying = std::chrono::milliseconds(100);
constexpr auto dying_late = std::chrono::milliseconds(20);

// What the supervisor tells the tool, once.
struct Word {
  ProgramRun::End end;
  int value;
  bool exists;
};

struct Start {
  const char* path;
  char* const* arguments;
  char* const* environment;
  int null, out, err, control;
};

// --- In the supervisor. It comes from a process with other threads, so there is nothing here but what
// signal-safety(7) allows.
//
// It adopts (PR_SET_CHILD_SUBREAPER) all that the program starts and leaves behind, so that it can kill one
// generation of children after the other until none is left. Only the supervisor takes note of their ends: a
// pid that it knows as its child's is no other process's.

constexpr int control = 3; // its end of the socket to the tool; that it closes tells that the tool has ended

// Not by sigaction(3), which leaves out the two signals that glibc keeps for itself. The kernel's structure
// is all zero for SIG_DFL, and smaller than this on every machine; the last argument is the size of its mask.
void default_signals() {
  const std::array<unsigned long, 8> action{};
  for (int signal = 1; signal < NSIG; ++signal)
    (void)syscall(SYS_rt_sigaction, signal, action.data(), nullptr, std::size_t{NSIG / 8});
}

// Nothing of the tool's is left open: neither its stdout nor its ends of other programs' sockets. They may
// have any numbers now, so they make way first.
bool keep_only(const Start& start) {
  std::array<int, 4> kept{start.null, start.out, start.err, start.control};
  for (int& fd : kept)
    if ((fd = fcntl(fd, F_DUPFD_CLOEXEC, 10)) < 0) return false;
  for (int to = 0; to < 4; ++to)
    if (dup3(kept[static_cast<std::size_t>(to)], to, to == control ? O_CLOEXEC : 0) < 0) return false;
  return syscall(SYS_close_range, 4U, ~0U, 0U) == 0;
}

[[noreturn]] void tell_and_end(const Word& word) {
  (void)send(control, &word, sizeof word, MSG_NOSIGNAL);
  _exit(0);
}

[[noreturn]] void tell_failure(int error, const char* path) {
  tell_and_end({ProgramRun::End::not_started, error, path != nullptr && access(path, F_OK) == 0});
}

// The program has the supervisor's memory until it is executed: that spares a copy.
pid_t start_program(const Start& start, volatile int& error) {
  sigset_t none;
  sigemptyset(&none);
  const pid_t pid = vfork();
  if (pid != 0) return pid;
  (void)setsid();
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL); // should the supervisor be killed
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)execve(start.path, start.arguments, start.environment);
  error = errno;
  _exit(127);
}

// Takes note of all who ended. False: nobody is left.
bool take_ended(pid_t& program) {
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended < 0 && errno == EINTR) continue;
    if (ended <= 0) return ended == 0;
    if (ended != program) continue;
    program = 0;
    const Word word{ProgramRun::End::ended, status, true};
    (void)send(control, &word, sizeof word, MSG_NOSIGNAL);
  }
}

// Waits until somebody ends. False: the tool wants no more, or has ended.
bool await_somebody(int children) {
  std::array<pollfd, 2> states{pollfd{children, POLLIN, 0}, pollfd{control, POLLIN, 0}};
  if (poll(states.data(), states.size(), -1) <= 0) return true;
  signalfd_siginfo ignored{};
  if (states[0].revents != 0) (void)!read(children, &ignored, sizeof ignored);
  return states[1].revents == 0;
}

// A group at once, in which none escapes by forking; then the process itself, should it have no group of its
// own. All groups of the supervisor's children are of sessions that began with the program.
bool kill_with_group(pid_t child) {
  const pid_t group = getpgid(child);
  if (group > 1 && group != getpgrp()) (void)kill(-group, SIGKILL);
  return kill(child, SIGKILL) == 0;
}

// Kills the children and waits until one has ended. False: there is nobody whom it may kill.
bool kill_children(pid_t program) {
  bool killed = program != 0 && kill_with_group(program);
  // proc(5): the pids, each followed by a space. What does not fit is seen the next time.
  const int list = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  std::array<char, 4096> text{};
  const ssize_t size = list < 0 ? 0 : read(list, text.data(), text.size());
  if (list >= 0) (void)close(list);
  pid_t pid = 0;
  for (ssize_t i = 0; i < size; ++i) {
    const char c = text[static_cast<std::size_t>(i)];
    if (c >= '0' && c <= '9') {
      pid = pid * 10 + (c - '0');
      continue;
    }
    if (pid > 1 && kill_with_group(pid)) killed = true;
    pid = 0;
  }
  if (!killed) return false;
  siginfo_t ignored{};
  (void)waitid(P_ALL, 0, &ignored, WEXITED | WNOWAIT);
  return true;
}

[[noreturn]] void supervise(const Start& start) {
  (void)setsid(); // what kills the tool's group leaves it to do its work
  default_signals();
  if (!keep_only(start)) _exit(1);
  (void)!chdir("/");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) tell_failure(errno, nullptr);
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  const int children = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
  if (children < 0) tell_failure(errno, nullptr);
  volatile int error = 0;
  pid_t program = start_program(start, error);
  if (program < 0) tell_failure(errno, nullptr);
  if (error != 0) tell_failure(error, start.path);
  for (const int fd : {1, 2}) (void)dup2(0, fd);
  bool wanted = true;
  while (take_ended(program)) {
    if (program != 0 && wanted)
      wanted = await_somebody(children);
    else if (!kill_children(program))
      break;
  }
  _exit(0);
}

// --- In the tool.

// One of the program's outputs. More than `most` is read, so that the program can go on, and thrown away.
struct Output {
  std::size_t most;
  Fd fd = {};
  std::string kept = {};

  // Reads what is there, a piece of it. False: nothing is.
  bool take() {
    std::array<char, 16384> piece{};
    const ssize_t size = read(fd.get(), piece.data(), piece.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (size <= 0) {
      fd.reset();
      return false;
    }
    kept.append(piece.data(), std::min(static_cast<std::size_t>(size), most - kept.size()));
    return true;
  }

  void take_rest() {
    while (fd && kept.size() < most && take()) continue;
  }
};

struct Ends {
  Fd ours;
  Fd theirs;
};

Result<Ends> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) < 0) return fail_errno("pipe", "cannot be made");
  Ends made{Fd(ends[0]), Fd(ends[1])};
  // Of our end only: the program's would be its stdout's.
  if (fcntl(made.ours.get(), F_SETFL, O_NONBLOCK) < 0) return fail_errno("pipe", "cannot be set up");
  return made;
}

Result<Ends> make_socket() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
    return fail_errno("socket", "cannot be made");
  return Ends{Fd(ends[0]), Fd(ends[1])};
}

// As execve(2) takes them.
std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// The supervisor must not get a signal before it has made itself independent of the tool, nor run a handler
// of the tool's.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() { (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// What the supervisor tells, until the deadline; the outputs are read meanwhile.
ProgramRun await_word(int socket, Output& out, Output& err, const Deadline& deadline) {
  while (!deadline.has_passed()) {
    std::array<pollfd, 3> states{pollfd{socket, POLLIN, 0}, pollfd{out.fd.get(), POLLIN, 0},
                                 pollfd{err.fd.get(), POLLIN, 0}};
    if (poll(states.data(), states.size(), deadline.for_poll()) <= 0) continue;
    if (states[1].revents != 0) (void)out.take();
    if (states[2].revents != 0) (void)err.take();
    if (states[0].revents == 0) continue;
    Word word{};
    if (recv(socket, &word, sizeof word, MSG_DONTWAIT) != sizeof word) return {ProgramRun::End::lost};
    return {word.end, word.value, word.exists};
  }
  return {ProgramRun::End::late};
}

} // namespace

Program::~Program() {
  // What did not end before will not end now.
  (void)await_end(hangs_ ? Deadline::at(Clock::now()) : Deadline::after(dying));
}

// Its end of the socket is closed when it ends.
bool Program::await_end(const Deadline& deadline) {
  while (supervisor_ != 0) {
    pollfd state{control_.get(), POLLIN, 0};
    if (poll(&state, 1, deadline.for_poll()) == 0) return false;
    Word ignored{};
    if (state.revents == 0 || recv(control_.get(), &ignored, sizeof ignored, MSG_DONTWAIT) > 0) continue;
    (void)waitpid(supervisor_, nullptr, 0);
    supervisor_ = 0;
  }
  return true;
}

Result<ProgramRun> Program::run(const Deadline& deadline) {
  hangs_ = !await_end(deadline);
  if (hangs_) return ProgramRun{ProgramRun::End::still_there};
  auto out = make_pipe();
  if (!out) return forward_error(out);
  auto err = make_pipe();
  if (!err) return forward_error(err);
  auto socket = make_socket();
  if (!socket) return forward_error(socket);
  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return fail_errno("/dev/null", "cannot open");
  const auto arguments = pointers(words_);
  const auto environment = pointers(environment_);
  const Start start{words_.front().c_str(), arguments.data(),  environment.data(),  null.get(),
                    out->theirs.get(),      err->theirs.get(), socket->theirs.get()};
  {
    const SignalsHeld held;
    const pid_t pid = fork();
    if (pid == 0) supervise(start);
    if (pid < 0) return fail_errno("process", "cannot be made");
    supervisor_ = pid;
  }
  control_ = std::move(socket->ours);
  for (Fd* theirs : {&out->theirs, &err->theirs, &socket->theirs}) theirs->reset();

  Output output{most_out, std::move(out->ours)};
  Output errors{most_err, std::move(err->ours)};
  ProgramRun run = await_word(control_.get(), output, errors, deadline);
  (void)shutdown(control_.get(), SHUT_WR);
  output.take_rest();
  errors.take_rest();
  const bool late = run.end == ProgramRun::End::late;
  const bool ended = await_end(late ? Deadline::after(dying_late) : Deadline::after(dying).earlier(deadline));
  hangs_ = late && !ended;
  run.out = std::move(output.kept);
  run.err = std::move(errors.kept);
  return run;
}

} // namespace safe_deploy
