#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "fd.hpp"
#include "user.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace safe_deploy {

// Work that may take any time or memory by somebody else's doing (a filter that loops, a file system that is
// dead), done in a process of its own: what a thread hangs in can't be left behind, not even by ending the
// tool, and what it takes of memory can't be limited. The process goes on from question to question, and is
// made anew when it had to be killed. One question at a time; it ends when this object does, or the tool.
class Apart {
 public:
  using Handler = std::function<std::string(std::string_view question)>;

  // `prepare` is run in the new process, and gives what answers the questions there. It must do with what the
  // process knows at its start: the other threads of the tool are not there. `memory`: bytes that it may take
  // in addition to what the tool has; 0: no limit. `user`: as whom it runs, where it is root that makes it;
  // whoever else asks must be that user, to be able to kill it.
  explicit Apart(std::function<Handler()> prepare, std::uint64_t memory = 0, UserPtr user = {});
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;
  ~Apart();

  // Begins to prepare, so that it is done by the first question. Without it that one waits.
  Result<void> start();

  // Errors: timed_out with "no answer within 5s" (the process is killed then); no where it ended for want of
  // memory, with "more than 32M of memory would be needed"; os_error where it ended otherwise, with "the
  // process that looks was killed by SIGKILL", and where there can be no process.
  Result<std::string> ask(std::string_view question, const Deadline& deadline);

 private:
  void kill_it();
  [[nodiscard]] bool is_gone();
  Result<void> await_end(const Deadline& deadline);
  [[nodiscard]] tl::unexpected<Error> how_it_ended() const;

  std::function<Handler()> prepare_;
  std::uint64_t memory_;
  UserPtr user_;
  pid_t pid_ = 0; // 0: none
  bool killed_ = false;
  std::optional<int> ended_ = {}; // how the last one did, as wait(2) tells it
  Fd pidfd_ = {};
  Fd socket_ = {};
};

} // namespace safe_deploy
