#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "fd.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace safe_deploy {

// How one run of a program ended, and what it wrote until then.
struct ProgramRun {
  enum class End {
    ended,       // `value`: as wait(2) tells it
    not_started, // `value`: the errno of execve(2); `exists`: something has its name
    late,        // it was killed at the deadline
    lost,        // the process that looked after it was killed, and it as well; see below
    still_there, // not started, since what was killed in an earlier run has not ended
  };
  End end = End::lost;
  int value = 0;
  bool exists = false;
  std::string out = {}; // the first 64 KiB of stdout
  std::string err = {}; // the first 16 KiB of stderr
};

// A program that somebody else wrote. It gets /dev/null as stdin, no descriptor but the first three, the
// default signals, a session of its own and "/" as its directory. When it has ended, or at the deadline,
// or with the tool, all that it started is killed, whatever that does to escape, but for two cases: what has
// another user than the tool, where the tool may not kill it, and what a program started that then kills the
// process that looks after it. The program itself ends with that (prctl(2), PR_SET_PDEATHSIG); its children
// become those of init, and nobody knows them any more.
class Program {
 public:
  // `words`: its absolute path, and its arguments. `environment`: "NAME=value".
  Program(std::vector<std::string> words, std::vector<std::string> environment)
      : words_(std::move(words)), environment_(std::move(environment)) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  [[nodiscard]] const std::string& path() const { return words_.front(); }

  // One run at a time. Does not wait for whoever holds the program's stdout when it has ended. Errors: what
  // the operating system refuses (no descriptors, no processes).
  Result<ProgramRun> run(const Deadline& deadline);

 private:
  bool await_end(const Deadline& deadline);

  std::vector<std::string> words_;
  std::vector<std::string> environment_;
  // The process that looks after the program; 0: none. It ends when all is killed.
  pid_t supervisor_ = 0;
  bool hangs_ = false; // what was killed in the last run did not end
  Fd control_ = {};
};

} // namespace safe_deploy
