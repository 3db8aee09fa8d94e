#include "traced.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace crash {

namespace {

constexpr unsigned patience = 20; // seconds for a run, which takes milliseconds
constexpr int syscall_stop = SIGTRAP | 0x80;

[[noreturn]] void give_up(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

template <class Address, class Data>
long trace(int request, pid_t pid, Address address, Data data) {
  return ptrace(static_cast<__ptrace_request>(request), pid, reinterpret_cast<void*>(address),
                reinterpret_cast<void*>(data));
}

// Where the dynamic loader's own code is.
struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool holds(std::uint64_t address) const { return address >= begin && address < end; }
};

Mapping loader_of(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  Mapping found;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/ld-linux") == std::string::npos) continue;
    const auto begin = std::stoull(line, nullptr, 16);
    if (found.begin == 0) found.begin = begin;
    found.end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
  }
  return found;
}

[[noreturn]] void become(const std::vector<std::string>& command, int out, int err) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::array<char*, 1> environment{nullptr};
  // The same addresses each time: so it asks for memory at the same places.
  (void)personality(ADDR_NO_RANDOMIZE);
  if (chdir("/") < 0) _exit(127);
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0) _exit(127);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0) _exit(127);
  (void)execve(argv[0], argv.data(), environment.data());
  _exit(127);
}

std::uint64_t entry_of(pid_t pid) {
  std::ifstream auxv("/proc/" + std::to_string(pid) + "/auxv", std::ios::binary);
  std::array<std::uint64_t, 2> pair{};
  while (auxv.read(reinterpret_cast<char*>(pair.data()), sizeof pair))
    if (pair[0] == AT_ENTRY) return pair[1];
  throw std::runtime_error("the program has no entry");
}

std::string content_of(int file) {
  std::string text(4096, '\0');
  const ssize_t got = pread(file, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

// waitpid(2) is to end at the alarm, not to be restarted.
void take_alarms() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  (void)sigaction(SIGALRM, &action, nullptr);
}

bool is_stop(int status, int signal) {
  return WIFSTOPPED(status) && WSTOPSIG(status) == signal;
}

} // namespace

// A process that does not outlive this object.
class Traced::Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    (void)kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status)) (void)kill(pid_, SIGKILL);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }

  // False where the alarm came first.
  bool wait(int& status) {
    if (waitpid(pid_, &status, __WALL) < 0) {
      if (errno == EINTR) return false;
      give_up("waitpid");
    }
    if (!WIFSTOPPED(status)) pid_ = -1;
    return true;
  }

  void go_on(int request, int signal = 0) const {
    if (trace(request, pid_, 0L, static_cast<long>(signal)) < 0 && errno != ESRCH) give_up("ptrace");
  }

  // To the stop that must come next.
  void go_on_to(int request, int stop) {
    int status = 0;
    go_on(request);
    if (!wait(status) || !is_stop(status, stop)) throw std::runtime_error("a traced process does not stop");
  }

  [[nodiscard]] user_regs_struct registers() const {
    user_regs_struct registers{};
    if (trace(PTRACE_GETREGS, pid_, 0L, &registers) < 0) give_up("ptrace");
    return registers;
  }
  void set_registers(user_regs_struct registers) const {
    registers.orig_rax = ~0ULL; // no call that could be restarted
    if (trace(PTRACE_SETREGS, pid_, 0L, &registers) < 0) give_up("ptrace");
  }
  void set_register(long which, long value) const {
    if (trace(PTRACE_POKEUSER, pid_, 8 * which, value) < 0) give_up("ptrace");
  }

  [[nodiscard]] std::uint64_t word(std::uint64_t address) const {
    errno = 0;
    const long word = ptrace(PTRACE_PEEKTEXT, pid_, reinterpret_cast<void*>(address), nullptr);
    if (errno != 0) give_up("ptrace");
    return static_cast<std::uint64_t>(word);
  }
  void set_word(std::uint64_t address, std::uint64_t word) const {
    if (trace(PTRACE_POKETEXT, pid_, address, word) < 0) give_up("ptrace");
  }

  [[nodiscard]] __ptrace_syscall_info call() const {
    __ptrace_syscall_info info{};
    if (trace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof info, &info) < 0) give_up("ptrace");
    return info;
  }

 private:
  pid_t pid_;
};

// The process that stands at the first instruction of the program.
struct Traced::Loaded {
  Child child;
  Mapping loader = {};
  std::uint64_t entry = 0;
  std::uint64_t code = 0; // at the entry
  std::uint64_t tid = 0;  // where the C library keeps the number of the thread
  std::size_t calls = 0;  // that were made so far
  user_regs_struct registers = {};
};

namespace {

constexpr std::uint64_t breakpoint = 0xcc;
constexpr std::uint64_t call_and_breakpoint = 0xcc050f; // syscall; int3

std::uint64_t with_code(std::uint64_t word, std::uint64_t code, unsigned bytes) {
  const std::uint64_t mask = (1ULL << (8 * bytes)) - 1;
  return (word & ~mask) | code;
}

} // namespace

Traced::Traced(const std::vector<std::string>& command, int out, int err)
    : command_(command), out_(out), err_(err) {
  take_alarms();
  loaded_ = std::make_unique<Loaded>(Loaded{.child = execute()});
  Loaded& at = *loaded_;
  const pid_t pid = at.child.pid();
  at.loader = loader_of(pid);
  at.entry = entry_of(pid);
  at.code = at.child.word(at.entry);
  at.child.set_word(at.entry, with_code(at.code, breakpoint, 1));
  for (;;) {
    int status = 0;
    at.child.go_on(PTRACE_SYSCALL);
    if (!at.child.wait(status)) throw std::runtime_error("the program is not loaded");
    if (is_stop(status, SIGTRAP)) break;
    if (!is_stop(status, syscall_stop)) throw std::runtime_error("the program is not loaded");
    const auto call = at.child.call();
    if (call.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
    ++at.calls;
    if (call.entry.nr == SYS_set_tid_address) at.tid = call.entry.args[0];
  }
  at.registers = at.child.registers();
  at.registers.rip = at.entry;
  at.child.set_word(at.entry, with_code(at.code, call_and_breakpoint, 3));
}

Traced::~Traced() = default;

Traced::Child Traced::execute() const {
  const pid_t pid = fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) become(command_, out_, err_);
  Child child(pid);
  int status = 0;
  if (!child.wait(status) || !is_stop(status, SIGTRAP))
    throw std::runtime_error("cannot trace " + command_.front());
  if (trace(PTRACE_SETOPTIONS, pid, 0L,
            static_cast<long>(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK)) < 0)
    give_up("ptrace");
  return child;
}

// fork(2), in the name of the loaded process; but the child is ours.
Traced::Child Traced::copy() const {
  Loaded& from = *loaded_;
  user_regs_struct fork = from.registers;
  fork.rax = SYS_clone;
  fork.rdi = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
  fork.rsi = fork.rdx = fork.r8 = 0;
  fork.r10 = from.tid;
  from.child.set_registers(fork);
  from.child.go_on_to(PTRACE_CONT, SIGTRAP); // PTRACE_EVENT_FORK
  unsigned long pid = 0;
  if (trace(PTRACE_GETEVENTMSG, from.child.pid(), 0L, &pid) < 0) give_up("ptrace");
  Child child(static_cast<pid_t>(pid));
  from.child.go_on_to(PTRACE_CONT, SIGTRAP); // the breakpoint
  int status = 0;
  if (!child.wait(status) || !is_stop(status, SIGSTOP)) throw std::runtime_error("a copy does not stop");
  child.set_word(from.entry, from.code);
  child.set_registers(from.registers);
  return child;
}

// From the exec, or from the first instruction, to the point or to the end.
Ran Traced::run(const Plan& plan) {
  for (const int file : {out_, err_})
    if (ftruncate(file, 0) < 0) give_up("ftruncate");
  const bool all = plan.what == Plan::What::nothing;
  const std::size_t wanted = plan.what == Plan::What::fail ? 2 * plan.point - 1 : plan.point;
  const std::size_t before = 2 * loaded_->calls;
  Ran ran;
  ran.stops = wanted > before ? before : 0;
  Child child = ran.stops > 0 ? copy() : execute();
  (void)alarm(patience);
  int request = PTRACE_SYSCALL;
  int signal = 0;
  long argument = 0;
  __ptrace_syscall_info info{};
  for (;;) {
    child.go_on(request, std::exchange(signal, 0));
    if (!child.wait(ran.status)) {
      ran.hung = true;
      break;
    }
    if (!WIFSTOPPED(ran.status)) break;
    if (WSTOPSIG(ran.status) != syscall_stop) {
      signal = WSTOPSIG(ran.status);
      continue;
    }
    ++ran.stops;
    const bool entry = ran.stops % 2 == 1;
    if (!all && ran.stops + 1 < wanted) continue;
    if (entry) {
      info = child.call();
      ran.at = {static_cast<long>(info.entry.nr), loaded_->loader.holds(info.instruction_pointer)};
      if (all) ran.calls.push_back(ran.at);
    }
    if (all || ran.stops < wanted) continue;
    if (plan.what == Plan::What::kill) {
      ran.reached = true;
      (void)kill(child.pid(), SIGKILL);
      while (child.wait(ran.status) && WIFSTOPPED(ran.status)) child.go_on(PTRACE_CONT);
      break;
    }
    request = PTRACE_CONT;
    if (!entry && ran.at.number == SYS_brk) {
      child.set_register(RDI, argument);
    } else if (!entry) {
      child.set_register(RAX, -static_cast<long>(plan.error));
    } else if (!ran.at.of_loader && can_fail(ran.at.number, plan.error)) {
      ran.reached = true;
      if (ran.at.number == SYS_brk) {
        child.set_register(RDI, 0); // it fails by returning the break as it is, which brk(0) does
        argument = static_cast<long>(info.entry.args[0]);
      } else {
        child.set_register(ORIG_RAX, -1);
      }
      request = PTRACE_SYSCALL;
    }
  }
  (void)alarm(0);
  ran.errors = content_of(err_);
  return ran;
}

std::string call_name(long number) {
  static const std::map<long, std::string> names{
      {SYS_access, "access"},
      {SYS_brk, "brk"},
      {SYS_close, "close"},
      {SYS_exit_group, "exit_group"},
      {SYS_fallocate, "fallocate"},
      {SYS_fchmod, "fchmod"},
      {SYS_fchownat, "fchownat"},
      {SYS_fcntl, "fcntl"},
      {SYS_flock, "flock"},
      {SYS_fstat, "fstat"},
      {SYS_fsync, "fsync"},
      {SYS_ftruncate, "ftruncate"},
      {SYS_futex, "futex"},
      {SYS_getdents64, "getdents64"},
      {SYS_geteuid, "geteuid"},
      {SYS_getpid, "getpid"},
      {SYS_getrandom, "getrandom"},
      {SYS_ioctl, "ioctl"},
      {SYS_kill, "kill"},
      {SYS_linkat, "linkat"},
      {SYS_lseek, "lseek"},
      {SYS_mkdir, "mkdir"},
      {SYS_mkdirat, "mkdirat"},
      {SYS_mmap, "mmap"},
      {SYS_mprotect, "mprotect"},
      {SYS_munmap, "munmap"},
      {SYS_newfstatat, "newfstatat"},
      {SYS_openat, "openat"},
      {SYS_openat2, "openat2"},
      {SYS_prctl, "prctl"},
      {SYS_pread64, "pread64"},
      {SYS_prlimit64, "prlimit64"},
      {SYS_pwrite64, "pwrite64"},
      {SYS_read, "read"},
      {SYS_readlink, "readlink"},
      {SYS_readlinkat, "readlinkat"},
      {SYS_rename, "rename"},
      {SYS_renameat, "renameat"},
      {SYS_renameat2, "renameat2"},
      {SYS_rmdir, "rmdir"},
      {SYS_statx, "statx"},
      {SYS_symlinkat, "symlinkat"},
      {SYS_syncfs, "syncfs"},
      {SYS_unlink, "unlink"},
      {SYS_unlinkat, "unlinkat"},
      {SYS_write, "write"},
  };
  const auto found = names.find(number);
  return found == names.end() ? "system call " + std::to_string(number) : found->second;
}

bool can_fail(long number, int error) {
  switch (number) {
    case SYS_exit:
    case SYS_exit_group:
    case SYS_getpid:
    case SYS_gettid:
    case SYS_getuid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getegid:
    case SYS_umask:
      return false;
    case SYS_brk:
      return error == ENOMEM;
    default:
      return true;
  }
}

} // namespace crash
