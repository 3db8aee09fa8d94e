#pragma once

#include <span>
#include <string>
#include <string_view>

// The kinds of check and the keys that each takes, as data: every tool can tell a right configuration from a
// wrong one without loading what only the checks themselves need. A kind's keys stand beside its check, and
// registry.hpp has one line for it.
namespace safe_deploy {

struct KindKey {
  std::string_view name;
  // Says what is wrong with a value, or nothing; nullptr: any text that is not empty. A value that may be a
  // secret is not repeated in what is said. Values that hold ${...} are judged when they are expanded.
  using Judge = std::string (*)(std::string_view value);
  Judge judge = nullptr;
  bool repeats = false;
  bool filter = false;             // a jq filter, in which a '#' begins a comment
  std::string_view otherwise = ""; // the default as it would be written; empty where there is none
};

// For people who ask why a check exists, and what to do when it says no.
struct Explanation {
  std::string_view why;
  std::string_view remedy;
};

struct Kind {
  std::string_view name;         // the key that makes a section this kind of check
  std::span<const KindKey> keys; // the first one is `name` itself

  [[nodiscard]] const KindKey* find_key(std::string_view key) const;
};

std::span<const Kind> check_kinds();
const Kind* find_check_kind(std::string_view name);

} // namespace safe_deploy
