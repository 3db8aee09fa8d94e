#include "incident.hpp"

#include "catch.hpp"
#include "scratch.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

using namespace safe_deploy;
namespace fs = std::filesystem;

namespace {

Incident rolled_back(const std::string& release, const std::string& at) {
  return {.id = "",
          .kind = "rolled-back",
          .app = "demo",
          .release = release,
          .check = "",
          .at = at,
          .last_at = "",
          .reason = "api answered 503",
          .done = "rolled back to 1",
          .lines = {"one", "two"},
          .closed_at = "",
          .closed_by = "",
          .note = ""};
}

std::string opened(const Scratch& scratch, const Incident& incident) {
  auto id = open_incident(scratch.path(), incident);
  if (!id) FAIL(id.error().text());
  return *id;
}

std::vector<Incident> listed(const Scratch& scratch) {
  auto incidents = list_incidents(scratch.path(), "demo");
  if (!incidents) FAIL(incidents.error().text());
  return *incidents;
}

} // namespace

TEST_CASE("an incident is a directory of its own that tells all of it") {
  const Scratch scratch;
  CHECK(listed(scratch).empty());
  const std::string id = opened(scratch, rolled_back("2", "2026-11-28T10:15:02.123Z"));
  CHECK(id == "20261128-101502-rolled-back");
  struct stat status {};
  REQUIRE(stat((scratch / ("demo/incidents/" + id + "/incident.json")).c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0640U);

  const auto incidents = listed(scratch);
  REQUIRE(incidents.size() == 1);
  const Incident& incident = incidents.front();
  CHECK(incident.id == id);
  CHECK(incident.app == "demo");
  CHECK(incident.kind == "rolled-back");
  CHECK(incident.release == "2");
  CHECK(incident.at == "2026-11-28T10:15:02.123Z");
  CHECK(incident.last_at == incident.at);
  CHECK(incident.count == 1);
  CHECK(incident.reason == "api answered 503");
  CHECK(incident.done == "rolled back to 1");
  CHECK(incident.lines == std::vector<std::string>{"one", "two"});
  CHECK(incident.is_open());
}

TEST_CASE("the same once more is no second incident while the first is open") {
  const Scratch scratch;
  const std::string id = opened(scratch, rolled_back("2", "2026-11-28T10:15:02.123Z"));
  Incident again = rolled_back("2", "2026-11-28T11:00:00.000Z");
  again.reason = "api answered 500";
  again.lines = {"three"};
  CHECK(opened(scratch, again) == id);
  again.lines.clear();
  CHECK(opened(scratch, again) == id);
  auto incidents = listed(scratch);
  REQUIRE(incidents.size() == 1);
  CHECK(incidents[0].count == 3);
  CHECK(incidents[0].at == "2026-11-28T10:15:02.123Z");
  CHECK(incidents[0].last_at == "2026-11-28T11:00:00.000Z");
  CHECK(incidents[0].reason == "api answered 500");
  CHECK(incidents[0].lines == std::vector<std::string>{"three"});

  // Another release, kind or check is another one, and so is what comes after it was closed.
  CHECK(opened(scratch, rolled_back("3", "2026-11-28T11:00:00.000Z")) == "20261128-110000-rolled-back");
  Incident check = again;
  check.kind = "check";
  check.check = "api";
  CHECK(opened(scratch, check) == "20261128-110000-check");
  check.check = "redis";
  CHECK(opened(scratch, check) == "20261128-110000-check-2");
  REQUIRE(close_incident(scratch.path(), "demo", id, "the database was down", "root"));
  CHECK(opened(scratch, again) != id);
  incidents = listed(scratch);
  REQUIRE(incidents.size() == 5);
  CHECK(incidents.back().id == id);
  CHECK(incidents.back().note == "the database was down");
  CHECK(incidents.back().closed_by == "root");
  CHECK_FALSE(incidents.back().is_open());
}

TEST_CASE("an incident is closed once, and only one that there is") {
  const Scratch scratch;
  const auto refused = [&](const std::string& id) {
    const auto closed = close_incident(scratch.path(), "demo", id, "note", "root");
    return closed ? std::string() : fmt::format("{} {}", closed.error().code.value(), closed.error().text());
  };
  CHECK(refused("20261128-101502-rolled-back") ==
        "1 '20261128-101502-rolled-back': demo has no such incident");
  CHECK_FALSE(fs::exists(scratch / "demo")); // nothing is made for a question
  const std::string id = opened(scratch, rolled_back("2", "2026-11-28T10:15:02.123Z"));
  for (const char* bad : {"", ".", "..", "../incidents", "-x", "x\n", ".new", "lock"}) {
    INFO(bad);
    CHECK(refused(bad).starts_with("1 "));
  }
  CHECK(refused(id).empty());
  CHECK(refused(id).starts_with("1 '20261128-101502-rolled-back': is closed since 20"));
}

TEST_CASE("fifty incidents are kept: the oldest closed ones go first, then the oldest") {
  const Scratch scratch;
  const auto at = [](int i) { return fmt::format("2026-11-28T10:{:02}:00.000Z", i); };
  for (int i = 0; i < 50; ++i) (void)opened(scratch, rolled_back(fmt::format("{}", i), at(i)));
  REQUIRE(close_incident(scratch.path(), "demo", "20261128-102000-rolled-back", "seen", "root"));
  CHECK(listed(scratch).size() == most_incidents);
  (void)opened(scratch, rolled_back("50", at(50)));
  auto incidents = listed(scratch);
  REQUIRE(incidents.size() == most_incidents);
  CHECK(incidents.front().release == "50");
  CHECK(incidents.back().release == "0");
  CHECK_FALSE(fs::exists(scratch / "demo/incidents/20261128-102000-rolled-back"));
  (void)opened(scratch, rolled_back("51", at(51)));
  incidents = listed(scratch);
  REQUIRE(incidents.size() == most_incidents);
  CHECK(incidents.back().release == "1");
}

TEST_CASE("what is no incident is passed over, and does not pile up") {
  const Scratch scratch;
  const std::string id = opened(scratch, rolled_back("2", "2026-11-28T10:15:02.123Z"));
  const std::string kept = scratch.read("demo/incidents/" + id + "/incident.json");
  scratch.write("demo/incidents/garbled/incident.json", kept.substr(0, kept.size() / 2));
  scratch.write("demo/incidents/text/incident.json", "\"text\"");
  scratch.write("demo/incidents/numbers/incident.json", R"({"kind": 1, "at": [], "lines": {}})");
  scratch.write("demo/incidents/large/incident.json", std::string(2U << 20U, ' '));
  scratch.write("demo/incidents/.new/incident.json", kept);
  scratch.write("demo/incidents/file", kept);
  fs::create_directories(scratch / "demo/incidents/empty");
  fs::create_directories(scratch / "demo/incidents/directory/incident.json");
  fs::create_directory_symlink(id, scratch / "demo/incidents/link");
  REQUIRE(fs::create_directory(scratch / "demo/incidents/fifo"));
  REQUIRE(mkfifo((scratch / "demo/incidents/fifo/incident.json").c_str(), 0600) == 0);
  REQUIRE(listed(scratch).size() == 1);
  for (int i = 0; i < 50; ++i)
    (void)opened(scratch, rolled_back(fmt::format("x{}", i), fmt::format("2026-11-28T11:{:02}:00Z", i)));
  CHECK(listed(scratch).size() == most_incidents);
  CHECK_FALSE(fs::exists(scratch / "demo/incidents/garbled"));
  CHECK_FALSE(fs::exists(scratch / "demo/incidents/.new"));
  CHECK(fs::exists(scratch / "demo/incidents/file"));
}

TEST_CASE("what an app or a file says of an incident is made printable and cut") {
  const Scratch scratch;
  Incident incident = rolled_back("2", "2026-11-28T10:15:02.123Z");
  incident.reason = "clear\x1b[2J\nthe screen";
  incident.lines.assign(60, "\xff" + std::string(5000, 'x'));
  incident.lines.back() = "last";
  const std::string id = opened(scratch, incident);
  auto shown = listed(scratch).front();
  CHECK(shown.reason == "clear\\x1b[2J\\x0athe screen");
  REQUIRE(shown.lines.size() == 50);
  CHECK(shown.lines.back() == "last");
  CHECK(shown.lines.front().starts_with("\\xffxxx"));
  CHECK(shown.lines.front().size() < 1100);

  scratch.write(
      "demo/incidents/" + id + "/incident.json",
      R"({"kind": "a\u001bb", "at": "\u009b", "app": "other", "id": "x", "count": 18446744073709551615,
                    "lines": ["\u0007", 5], "closed_at": ""})");
  shown = listed(scratch).front();
  CHECK(shown.kind == "a\\x1bb");
  CHECK(shown.at == "\\xc2\\x9b");
  CHECK(shown.app == "demo");
  CHECK(shown.id == id);
  CHECK(shown.lines == std::vector<std::string>{"\\x07"});

  incident.kind = "../x";
  CHECK(open_incident(scratch.path(), incident).error().outcome() == Outcome::usage);
}

TEST_CASE("an incident that cannot be written is an error, and leaves nothing half") {
  const Scratch scratch;
  scratch.write("demo/incidents", "a file");
  CHECK_FALSE(open_incident(scratch.path(), rolled_back("2", "2026-11-28T10:15:02.123Z")));
  CHECK_FALSE(list_incidents(scratch.path(), "demo"));
}
