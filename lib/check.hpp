#pragma once

#include "deadline.hpp"
#include "user.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A check asks one question about the world, once. How often it is asked is not its concern: that is the
// policy's (policy.hpp).
namespace safe_deploy {

enum class Verdict { yes, warning, no, skipped };

// For programs.
constexpr std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::yes:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::skipped:
      return "skipped";
    case Verdict::no:
      break;
  }
  return "failed";
}

// One measured number of an answer, for --json and for monitoring: {"disk-used", 71.5, "%"}.
struct Figure {
  std::string name;
  double value;
  std::string unit; // "s", "B", "%", or empty for a plain number
};

struct Answer {
  // skipped: the question could not be asked here (no permission, no such thing in this kernel, no value for
  // a
  // ${...}). What is not there, though it was asked for, is a no.
  Verdict verdict = Verdict::no;
  // A stable word for programs: "refused", "status", "json", "timeout" ...; "ok" where the verdict is yes.
  std::string reason;
  // One sentence for people, with what was asked and what was found.
  std::string sentence;
  std::vector<Figure> figures = {};
  // False where nobody answered yet (connection refused, nothing listens): such a no is no attempt used up.
  bool counts = true;
  // Asking again cannot help (the port belongs to another unit, say): a wait ends here.
  bool final = false;

  [[nodiscard]] bool good() const { return verdict == Verdict::yes || verdict == Verdict::warning; }

  // A question that could not be asked is no yes, and no objection.
  [[nodiscard]] bool objects() const { return verdict == Verdict::no; }

  static Answer yes(std::string sentence) { return {Verdict::yes, "ok", std::move(sentence)}; }
  static Answer no(std::string reason, std::string sentence) {
    return {Verdict::no, std::move(reason), std::move(sentence)};
  }
  static Answer warning(std::string reason, std::string sentence) {
    return {Verdict::warning, std::move(reason), std::move(sentence)};
  }
  static Answer skipped(std::string reason, std::string sentence) {
    return {Verdict::skipped, std::move(reason), std::move(sentence)};
  }
};

class Check {
 public:
  Check() = default;
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;
  virtual ~Check() = default;

  // Asks once and returns at the deadline at the latest (a check that is not instant may be abandoned by its
  // policy when it does not). Never throws; what cannot be found out is an Answer, too. A check that is not
  // instant is asked on a thread of its own, one ask at a time.
  virtual Answer ask(const Deadline& deadline) = 0;

  // Whether ask() takes microseconds and cannot block: then it needs no thread, and may be asked every
  // millisecond.
  [[nodiscard]] virtual bool instant() const { return false; }

  // An instant check that must say yes before it is worth asking this one, such as "somebody listens there";
  // nullptr if there is none.
  [[nodiscard]] virtual std::shared_ptr<Check> gate() { return nullptr; }

  // As whom a check that is not instant is asked; nullptr: as whoever runs the tool. Where the tool may not
  // become that user it is asked as it is.
  [[nodiscard]] const UserPtr& user() const { return user_; }
  void ask_as(UserPtr user) { user_ = std::move(user); }

  // A descriptor that becomes readable when asking again may give another answer, or -1. ask() drains it.
  [[nodiscard]] virtual int wake_fd() const { return -1; }

 private:
  UserPtr user_ = {};
};

} // namespace safe_deploy
