#pragma once

#include "config.hpp"

#include <span>
#include <string>
#include <string_view>

// The keys of the configuration as data, and what each makes of its value.
namespace safe_deploy {

template <class Into>
struct Key {
  std::string_view name;
  std::string_view otherwise; // the default as it would be written; empty where there is none
  // Puts the value where it belongs, and says what is wrong with it, or nothing.
  std::string (*take)(Into& into, std::string_view value);
};

struct PlainSection {
  std::string_view name;
  std::span<const Key<Config>> keys;
};

// [app], [port] ...: all sections but [check NAME].
std::span<const PlainSection> plain_sections();

// What every [check NAME] takes, whatever its kind; the kinds' own keys are in checks/kinds.hpp.
std::span<const Key<CheckSection>> check_keys();

} // namespace safe_deploy
