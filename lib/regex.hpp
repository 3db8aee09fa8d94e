#pragma once

#include "error.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace safe_deploy {

// A POSIX extended regular expression (regex(7)). Without back-references, which are refused, the C library
// matches it in time linear to the text: a hostile answer cannot make it take for ever.
class Regex {
 public:
  // Outcome::usage for what does not compile.
  static Result<Regex> compile(std::string_view pattern);

  // Whether it is found anywhere in the text, which may hold any bytes.
  [[nodiscard]] bool found_in(std::string_view text) const;

  [[nodiscard]] const std::string& pattern() const { return pattern_; }

 private:
  struct Compiled;
  Regex() = default;
  std::string pattern_;
  std::shared_ptr<const Compiled> compiled_;
};

} // namespace safe_deploy
