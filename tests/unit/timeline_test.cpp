#include "timeline.hpp"

#include "catch.hpp"

#include <fmt/format.h>

#include <algorithm>

using namespace safe_deploy;

namespace {

using Kind = LoggedEvent::Kind;
using Whose = LoggedEvent::Whose;
using Part = Timeline::Part;

HistoryStep step(const std::string& event, double seconds, const std::string& phase,
                 const std::string& boot = "b") {
  return {.event = event,
          .at = fmt::format("2026-11-28T10:00:{:02}.000Z", static_cast<int>(seconds)),
          .boot = boot,
          .monotonic = 1000 + seconds,
          .release = "v2",
          .reason = "",
          .phase = phase};
}

Deploy good_deploy() {
  return {.number = 7,
          .kind = "deploy",
          .release = "v2",
          .from = "v1",
          .by = {},
          .forced = false,
          .outcome = "good",
          .reason = "",
          .steps = {step("swap-intended", 0, "prepared"), step("swapped", 0.25, "swapped"),
                    step("good", 3, "idle")}};
}

// As systemd 252 logs a restart of a guarded unit within a deploy.
std::vector<LoggedEvent> good_events() {
  return {{-0.5, Kind::starting, Whose::deploy},
          {0.3, Kind::stopping, Whose::app},
          {0.5, Kind::stopped, Whose::app},
          {0.5, Kind::starting, Whose::app},
          {0.75, Kind::port, Whose::app, true, "port is free"},
          {1.0, Kind::health, Whose::app, false, "refused"},
          {2.5, Kind::health, Whose::app, true, "healthy"},
          {2.5, Kind::started, Whose::app},
          {2.9, Kind::health, Whose::deploy, true, "healthy, too"},
          {3.1, Kind::started, Whose::deploy}};
}

Deploy bad_deploy() {
  Deploy deploy = good_deploy();
  deploy.outcome = "rolled-back";
  deploy.reason = "answers 503";
  deploy.steps.back() = step("failure", 2, "swapped");
  deploy.steps.push_back(step("rollback-intended", 3, "rolling-back"));
  deploy.steps.push_back(step("rolled-back", 5, "idle"));
  return deploy;
}

std::vector<LoggedEvent> bad_events() {
  return {{-0.5, Kind::starting, Whose::deploy},
          {0.5, Kind::starting, Whose::app},
          {0.75, Kind::port, Whose::app, true, "free"},
          {2.0, Kind::health, Whose::app, false, "503"},
          {2.2, Kind::failed, Whose::app},
          {2.3, Kind::failed, Whose::deploy},
          {2.4, Kind::starting, Whose::rollback},
          {3.25, Kind::linked, Whose::rollback},
          {3.5, Kind::starting, Whose::app},
          {4.5, Kind::health, Whose::app, true, "ok"},
          {4.6, Kind::started, Whose::app},
          {5.1, Kind::started, Whose::rollback}};
}

const Timeline::Row* row(const Timeline& timeline, const std::string& name, Part part) {
  for (const auto& each : timeline.rows)
    if (each.name == name && each.part == part) return &each;
  return nullptr;
}

void has_bar(const Timeline& timeline, const std::string& name, Part part, double begin, double end) {
  INFO(name);
  const auto* found = row(timeline, name, part);
  REQUIRE(found != nullptr);
  REQUIRE_FALSE(found->bars.empty());
  CHECK(found->bars.front().begin == Approx(begin));
  CHECK(found->bars.front().end == Approx(end));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

} // namespace

TEST_CASE("a good deploy: what the record and the journal tell, from the start of its unit to its end") {
  const Timeline timeline = timeline_of(good_deploy(), good_events(), 100);
  CHECK(timeline.seconds == Approx(3.6));
  CHECK_FALSE(timeline.open);
  has_bar(timeline, "checks", Part::deploy, 0, 0.5);
  has_bar(timeline, "swap", Part::deploy, 0.5, 0.75);
  has_bar(timeline, "stop", Part::deploy, 0.8, 1.0);
  has_bar(timeline, "start", Part::deploy, 1.0, 3.0);
  has_bar(timeline, "port", Part::deploy, 1.0, 1.25);
  has_bar(timeline, "health", Part::deploy, 1.25, 3.0);
  CHECK(row(timeline, "restart", Part::deploy) == nullptr);
  CHECK(std::none_of(timeline.rows.begin(), timeline.rows.end(),
                     [](const auto& each) { return each.part != Part::deploy; }));
  const auto* health = row(timeline, "health", Part::deploy);
  REQUIRE(health->bars.size() == 2); // the gate of the app's unit, and the deploy's
  CHECK(health->bars[1].begin == Approx(3.0));
  CHECK(health->bars[1].end == Approx(3.4));
  REQUIRE(health->dots.size() == 3);
  CHECK_FALSE(health->dots[0].yes);
  CHECK(health->dots[0].at == Approx(1.5));
  CHECK(health->dots[1].yes);
}

TEST_CASE("a rollback has phases of its own") {
  const Timeline timeline = timeline_of(bad_deploy(), bad_events(), 100);
  CHECK(timeline.seconds == Approx(5.6));
  has_bar(timeline, "start", Part::deploy, 1.0, 2.7);
  has_bar(timeline, "swap", Part::rollback, 3.5, 3.75);
  has_bar(timeline, "start", Part::rollback, 4.0, 5.1);
  has_bar(timeline, "health", Part::rollback, 4.0, 5.0);
  REQUIRE(row(timeline, "health", Part::deploy) != nullptr);
  CHECK_FALSE(row(timeline, "health", Part::deploy)->dots.front().yes);
}

TEST_CASE("a probation has a bar, and the answers of the watch on it") {
  Deploy deploy = good_deploy();
  deploy.steps = {step("swap-intended", 0, "prepared"), step("swapped", 1, "swapped"),
                  step("passed", 2, "probation"), step("good", 600, "idle")};
  auto events = good_events();
  events.push_back({300, Kind::health, Whose::watch, false, "slow"});
  const Timeline timeline = timeline_of(deploy, events, 1000);
  has_bar(timeline, "probation", Part::probation, 2.5, 600.5);
  CHECK(row(timeline, "probation", Part::probation)->dots.size() == 1);
  SECTION("which goes on until now where it has not ended") {
    deploy.outcome = "probation";
    deploy.steps.pop_back();
    const Timeline open = timeline_of(deploy, events, 400);
    CHECK(open.open);
    CHECK(open.seconds == Approx(400.5));
    has_bar(open, "probation", Part::probation, 2.5, 400.5);
    CHECK(row(open, "probation", Part::probation)->bars.front().open);
  }
}

TEST_CASE("without the journal the steps alone are drawn") {
  const Timeline good = timeline_of(good_deploy(), {}, 100);
  CHECK(good.seconds == Approx(3));
  has_bar(good, "swap", Part::deploy, 0, 0.25);
  has_bar(good, "restart", Part::deploy, 0.25, 3);
  const Timeline bad = timeline_of(bad_deploy(), {}, 100);
  has_bar(bad, "restart", Part::deploy, 0.25, 2);
  has_bar(bad, "restart", Part::rollback, 3, 5);
}

TEST_CASE("a deploy that is under way ends now") {
  Deploy deploy = good_deploy();
  deploy.outcome = "under way";
  deploy.steps.pop_back();
  const Timeline timeline = timeline_of(deploy,
                                        {{-1, Kind::starting, Whose::deploy},
                                         {0.5, Kind::starting, Whose::app},
                                         {0.7, Kind::health, Whose::app, false, "503"}},
                                        9);
  CHECK(timeline.open);
  CHECK(timeline.seconds == Approx(10));
  for (const char* name : {"start", "health"}) {
    has_bar(timeline, name, Part::deploy, 1.5, 10);
    CHECK(row(timeline, name, Part::deploy)->bars.front().open);
  }
}

TEST_CASE("across a reboot the wall clock has to do") {
  Deploy deploy = good_deploy();
  deploy.steps.back() = step("interrupted", 40, "idle", "another");
  CHECK(seconds_into(deploy, deploy.steps.back()).value() == Approx(40));
  CHECK(timeline_of(deploy, {}, 100).seconds == Approx(40));
  deploy.steps.back().at = "garbage";
  CHECK_FALSE(seconds_into(deploy, deploy.steps.back()));
}

TEST_CASE("the picture has a bar for each phase and a dot for each answer") {
  Timeline timeline = timeline_of(bad_deploy(), bad_events(), 100);
  timeline.title = "demo: v2 from v1: rolled-back";
  timeline.about = {"Deploy 7 on host", "Reason: answers 503"};
  const std::string svg = to_svg(timeline);
  CHECK(svg.starts_with("<?xml"));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find(timeline.title) != std::string::npos);
  CHECK(svg.find("Reason: answers 503") != std::string::npos);
  CHECK(svg.find("rolled-back after 5.6s") != std::string::npos);
  std::size_t bars = 0;
  std::size_t dots = 0;
  for (const auto& each : timeline.rows) {
    bars += each.bars.size();
    dots += each.dots.size();
  }
  const std::size_t in_legend = 2;    // deploy and rollback
  const std::size_t marks = 2 + dots; // yes and no; each answer once in words
  CHECK(count(svg, "class=\"bar\"") == bars + in_legend);
  CHECK(count(svg, "class=\"yes\"") + count(svg, "class=\"no\"") == dots + marks);
  CHECK(svg == to_svg(timeline));
}

TEST_CASE("nothing that somebody wrote becomes markup") {
  Timeline timeline = timeline_of(bad_deploy(), bad_events(), 100);
  const std::string hostile = "</text><script>alert('x')</script>&\"\x01\xff\xef\xbf\xbf";
  timeline.title = hostile;
  timeline.about = {hostile};
  timeline.outcome = hostile;
  for (auto& each : timeline.rows) {
    each.name = hostile;
    for (auto& dot : each.dots) dot.text = hostile;
  }
  const std::string svg = to_svg(timeline);
  CHECK(svg.find("<script") == std::string::npos);
  CHECK(svg.find("alert('") == std::string::npos);
  CHECK(svg.find('\x01') == std::string::npos);
  CHECK(svg.find('\xff') == std::string::npos);
  CHECK(svg.find("\xef\xbf\xbf") == std::string::npos);
  CHECK(count(svg, "<text") == count(svg, "</text>"));
}

TEST_CASE("what the figures may be makes no endless picture") {
  Timeline timeline;
  CHECK(to_svg(timeline).size() < 10'000);
  for (const double seconds : {0.0, 1e-9, 0.004, 5.0, 86'400.0 * 400, 1e300}) {
    timeline.seconds = seconds;
    timeline.rows = {{.name = "start", .part = Part::deploy, .bars = {{0, seconds, false}}, .dots = {}}};
    const std::string svg = to_svg(timeline);
    CHECK(svg.size() < 20'000);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
  }
}
