#pragma once

#include "history.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// A deploy as a line in time: which phase took from when to when, and what the checks answered on the way.
// Put together from the history, which has the steps of the record, and from the journal, which knows when
// systemd stopped and started what.
namespace safe_deploy {

// What the journal tells, of the units that have a part in it.
struct LoggedEvent {
  enum class Kind : std::uint8_t {
    starting, // of a unit's start, and its ends
    started,
    failed,
    stopping,
    stopped,
    linked, // rollback-link has done its work
    port,   // an answer of port-wait
    health, // an answer of health-wait
  };
  enum class Whose : std::uint8_t { app, deploy, rollback, watch };

  double at = 0; // seconds after the first step of the deploy
  Kind kind = Kind::starting;
  Whose whose = Whose::app;
  bool yes = true;       // of an answer
  std::string text = {}; // of an answer
};

struct Timeline {
  struct Bar {
    double begin = 0; // seconds
    double end = 0;
    bool open = false; // it goes on
  };
  struct Dot {
    double at = 0;
    bool yes = true;
    std::string text = {};
  };
  enum class Part : std::uint8_t { deploy, probation, rollback };
  // A phase, which may have come several times.
  struct Row {
    std::string name = {};
    Part part = Part::deploy;
    std::vector<Bar> bars = {};
    std::vector<Dot> dots = {};
  };

  std::string title = {};              // one line
  std::vector<std::string> about = {}; // what is to be told beside it, a paragraph each
  std::string outcome = {};
  double seconds = 0; // from 0 to the end
  bool open = false;  // it is under way
  std::vector<Row> rows = {};
};

// The rows and the end; the words are the caller's. `now`: seconds after the first step, for a deploy that
// has not come to its end. The events in the order of time; there may be none.
Timeline timeline_of(const Deploy& deploy, const std::vector<LoggedEvent>& events, double now);

// When a step was, in seconds after the first one: by the monotonic clock within one boot, else by the wall
// clock. Nothing where neither can be told.
std::optional<double> seconds_into(const Deploy& deploy, const HistoryStep& step);

// As one SVG image, for a browser and for paper: the parts differ in lightness and not in colour alone.
// Everything in it is escaped.
std::string to_svg(const Timeline& timeline);

} // namespace safe_deploy
