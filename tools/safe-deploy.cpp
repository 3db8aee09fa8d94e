#include "command/command.hpp"
#include "name.hpp"
#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "force", "", "deploy: also what is current or bad"},
    {0, "wait-good", "", "deploy: wait for the end of the probation"},
    {0, "to", "RELEASE", "rollback: to this release"},
    {'n', "lines", "N", "history: the last N; plot: the Nth last"},
    {0, "since", "TIME", "history: since then (2026-11-28, 2d, 12h)"},
    {0, "close", "ID", "incidents: close this one"},
    {0, "note", "TEXT", "incidents: what was found, with --close"},
    {0, "all", "", "incidents: the closed ones, too"},
    {0, "limits", "", "enable: the limits of limits.conf as well"},
    {0, "dry-run", "", "enable, disable: only tell what would be done"},
    {0, "url", "URL", "enable: write APP.conf, with this health endpoint"},
    {0, "port", "PORT", "enable: ... and the port that the unit listens on"},
    {0, "releases", "DIR", "enable: ... and the directory of the releases"},
    {0, "link", "PATH", "enable: ... and the link (default: as the unit has it)"},
    {0, "unit", "UNIT", "enable: ... and the app's unit (default APP.service)"},
    {0, "only", "CHECK", "check: only this one; repeatable"},
    json_option,
    quiet_option,
    config_dir_option,
    state_dir_option,
    run_dir_option,
};

constexpr ToolDescription tool{
    .name = "safe-deploy",
    .usage = "COMMAND [OPTIONS] [APP] [RELEASE]",
    .summary = "Deploy releases of a service, roll them back, and tell how things stand.",
    .options = options,
    .epilogue =
        "Commands:\n"
        "  deploy APP [RELEASE]  deploy the newest release or RELEASE, to the end\n"
        "  rollback APP          back to the newest good release, or the one of --to\n"
        "  status [APP]          how an app stands, or all of them\n"
        "  history APP           what was deployed, when, by whom, and what came of it\n"
        "  plot APP [N]          the time line of the (Nth) last deploy, an SVG on stdout\n"
        "  incidents [APP]       what went wrong and nobody has looked into yet\n"
        "  check APP             ask the checks that a deploy asks before it begins\n"
        "  enable APP            guard the app's unit and record what runs now as good\n"
        "  disable APP           take that back\n"
        "Commands that units use:\n"
        "  failed UNIT           a guarded unit failed: roll back if a candidate is live\n"
        "  monitor APP           ask the monitor's checks and tell what has changed\n"
        "  reconcile APP         put right what a crash or reboot left half done\n"
        "\n"
        "Exit status of deploy: 0 good, on probation or already current, 1 refused and\n"
        "nothing changed, 3 rolled back and healthy, 4 stuck (a person is needed), 75 one\n"
        "is under way; of all: 2 usage, 71 system error, 78 wrong configuration.\n"};

// The options that are not of all commands: each goes with the commands that list it.
constexpr std::string_view common_options[] = {"json", "quiet", "config-dir", "state-dir", "run-dir"};

struct Command {
  std::string_view name;
  Result<int> (*run)(const CommandLine&, Reporter&);
  std::array<std::string_view, 8> options = {}; // its own
};

constexpr Command commands[] = {
    {"deploy", command::deploy, {"force", "wait-good"}},
    {"rollback", command::rollback, {"to"}},
    {"status", command::status},
    {"history", command::history, {"lines", "since"}},
    {"plot", command::plot, {"lines"}},
    {"incidents", command::incidents, {"all", "close", "note"}},
    {"check", command::check, {"only"}},
    {"enable", command::enable, {"limits", "dry-run", "url", "port", "releases", "link", "unit"}},
    {"disable", command::disable, {"dry-run"}},
    {"failed", command::failed},
    {"monitor", command::monitor},
    {"reconcile", command::reconcile},
};

template <class Range>
bool holds(const Range& range, std::string_view name) {
  return std::find(std::begin(range), std::end(range), name) != std::end(range);
}

Result<int> run(const CommandLine& line, Reporter& report) {
  if (line.arguments.empty()) return fail(Outcome::usage, "", "a command is needed");
  for (const auto& command : commands) {
    if (command.name != line.arguments.front()) continue;
    for (const auto& given : line.options)
      if (!holds(common_options, given.option) && !holds(command.options, given.option))
        return fail(Outcome::usage, fmt::format("--{}", given.option),
                    fmt::format("does not go with {}", command.name));
    CommandLine rest = line;
    rest.arguments.erase(rest.arguments.begin());
    return command.run(rest, report);
  }
  return fail(Outcome::usage, fmt::format("'{}'", printable(line.arguments.front(), 40)), "no such command");
}

} // namespace

int main(int argc, char** argv) {
  return run_tool(argc, argv, tool, run);
}
