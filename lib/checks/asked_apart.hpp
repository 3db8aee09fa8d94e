#pragma once

#include "apart.hpp"
#include "check.hpp"

#include <memory>
#include <string>

namespace safe_deploy {

// A check that looks at files of all sorts, asked as a whole by a process of its own: a file system that is
// dead holds only that one (path_look.hpp). `place` is what the check mostly looks at, for the message.
// Reasons: those of the check; "timeout"; skipped: "process".
class AskedApart final : public Check {
 public:
  AskedApart(std::shared_ptr<Check> check, std::string place);

  Answer ask(const Deadline& deadline) override;

 private:
  std::string place_;
  Apart apart_;
};

// An answer as bytes, and back; for the two ends of a process boundary of one tool.
std::string to_bytes(const Answer& answer);
Answer answer_of_bytes(std::string_view bytes);

} // namespace safe_deploy
