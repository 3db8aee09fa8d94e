#pragma once

#include "host.hpp"
#include "traced.hpp"
#include "transitions.hpp"

#include <set>
#include <string>

// What has to hold, whatever happened to a tool. Each throws Wrong.
namespace crash {

// How things are on a host, as far as two runs of the same transition agree on it.
struct View {
  std::string current; // the links' texts
  std::string previous;
  std::string record;   // the state file, without times and how the last deploy ended; as it is if unreadable
  std::string last;     // how it ended
  bool readable = true; // the record
  std::size_t lines = 0; // of the history, whole ones
  std::set<std::string> releases;
};

View look(const Host& host);

// As at a boot.
safe_deploy::Moved reconcile_app(const Host& host);

// At the moment of the crash, or after an error. `settled` is how things are before where a boot has looked
// at them: the tools do the same first.
void check_invariants(const Host& host, const Transition& transition, const View& before, const View& settled,
                      const View& after);

// The next boot and the next deploy, by the library. Changes the host.
void check_continues(const Host& host, const Transition& transition);

// How the tool told that one of its calls failed, and what it left.
void check_error(const Host& host, const Transition& transition, const View& before, const View& settled,
                 const View& after, const Ran& ran, int error);

} // namespace crash
