#pragma once

#include "host.hpp"

#include <functional>
#include <string>
#include <vector>

// What the tools do to an app, each with how things are before.
namespace crash {

struct Transition {
  std::string name;
  std::vector<std::string> command; // "@/" stands for the host's directory
  std::function<void(const Host&)> prepare;
  int status = 0;     // how the tool ends when nothing disturbs it
  bool plain = false; // a link without an app: there is no record
  // No release is good: a crash of the first deploy ends without a link.
  bool may_end_without_link = false;
  bool may_end_stuck = false; // there is nowhere to go back to, and the boot says so
  bool may_end_on_probation = false;
  bool settles = false;    // what an earlier crash has left is put right first
  bool repairs = false;    // the link, then the record: where one is done, the next boot does the other
  bool by_release = false; // each release is removed in a step of its own, and may be the one that fails
  std::string in_use = {}; // a process has this release as its working directory
};

const std::vector<Transition>& transitions();

} // namespace crash
