#pragma once

#include "apart.hpp"
#include "deadline.hpp"
#include "error.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace safe_deploy {

// A POSIX extended regular expression (regex(7)). Back-references, which cannot be matched in bounded time,
// are refused, and so is what regcomp(3) would take long or much memory for.
class Regex {
 public:
  // Outcome::usage for what does not compile.
  static Result<Regex> compile(std::string_view pattern);

  // Whether it is found anywhere in the text, which may hold any bytes. The time is linear to the text for
  // expressions without "^", but some (`(a|b)*a(a|b){100}`) take a thousand times as long and as much memory
  // as others. So this is for text of no more than a few KiB, or that is not hostile.
  [[nodiscard]] bool found_in(std::string_view text) const;

  // The same for any text, however many there are: what has been learnt of them is forgotten at times. What
  // could take long is looked for in a process of its own. Errors: timed_out
  // where it could not be told by the deadline, no where that would take more than 32 MiB of memory,
  // os_error. One call at a time.
  [[nodiscard]] Result<bool> found_in(std::string_view text, const Deadline& deadline) const;

  [[nodiscard]] const std::string& pattern() const { return pattern_; }

 private:
  struct Compiled;
  Regex() = default;
  bool forget() const;
  [[nodiscard]] int match(std::string_view text) const; // what regexec(3) says
  std::string pattern_;
  double states_ = 0;        // how many it has, about
  bool begins_once_ = false; // and does not try each byte of a text as the beginning of a match
  mutable std::shared_ptr<const Compiled> compiled_;
  mutable double learnt_ = 0;                 // states times bytes, since it was compiled
  mutable std::shared_ptr<Apart> apart_ = {}; // once it is needed
};

} // namespace safe_deploy
