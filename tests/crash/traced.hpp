#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

// A program under ptrace(2): it is killed, or one of its system calls fails, at a given place.
namespace crash {

struct Call {
  long number = -1;       // <sys/syscall.h>
  bool of_loader = false; // made by the dynamic loader, before and apart from the program
};

struct Plan {
  enum class What { nothing, kill, fail };
  What what = What::nothing;
  // kill: the stop, counted from 1; each call has two, at its entry and at its exit. fail: the call, from 1.
  std::size_t point = 0;
  int error = 0; // fail: the errno
};

struct Ran {
  std::vector<Call> calls; // all that it made, where nothing was planned
  std::size_t stops = 0;
  Call at;              // the one at the point, or the last one
  bool reached = false; // the point; else the program had ended before, or there is nothing to fail at it
  bool hung = false;
  int status = 0;     // of waitpid(2)
  std::string errors; // what it wrote to stderr
};

// A command that is run again and again. It is executed once, up to the first instruction of the program
// itself; runs that are to be disturbed later than that go on from there, in a copy of the process.
class Traced {
 public:
  // `out` and `err` are files for its output; what they held is dropped at each run.
  Traced(const std::vector<std::string>& command, int out, int err);
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;
  ~Traced();

  Ran run(const Plan& plan);

 private:
  class Child;
  struct Loaded;
  [[nodiscard]] Child execute() const;
  [[nodiscard]] Child copy() const;

  std::vector<std::string> command_;
  int out_;
  int err_;
  std::unique_ptr<Loaded> loaded_;
};

// "openat", or the number.
std::string call_name(long number);

// Whether the call can fail in this way at all. brk(2) tells its failure otherwise than by an errno.
bool can_fail(long number, int error);

} // namespace crash
