#include "command/command.hpp"
#include "name.hpp"
#include "options.hpp"

#include <fmt/format.h>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "to", "RELEASE", "rollback: to this release"},
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
        "  enable APP            guard the app's unit and record what runs now as good\n"
        "  disable APP           take that back\n"
        "Commands that units use:\n"
        "  failed UNIT           a guarded unit failed: roll back if a candidate is live\n"
        "  reconcile APP         put right what a crash or reboot left half done\n"
        "\n"
        "Exit status of deploy: 0 good or already current, 1 refused and nothing changed,\n"
        "3 rolled back and healthy, 4 stuck (a person is needed), 75 one is under way;\n"
        "of all: 2 usage, 71 system error, 78 wrong configuration.\n"};

struct Command {
  std::string_view name;
  Result<int> (*run)(const CommandLine&, Reporter&);
  std::string_view options; // its own, besides those of all commands
};

constexpr Command commands[] = {
    {"deploy", command::deploy, ""},       {"rollback", command::rollback, "to"},
    {"status", command::status, ""},       {"enable", command::enable, ""},
    {"disable", command::disable, ""},     {"failed", command::failed, ""},
    {"reconcile", command::reconcile, ""},
};

Result<int> run(const CommandLine& line, Reporter& report) {
  if (line.arguments.empty()) return fail(Outcome::usage, "", "a command is needed");
  for (const auto& command : commands) {
    if (command.name != line.arguments.front()) continue;
    if (line.has("to") && command.options != "to")
      return fail(Outcome::usage, "--to", fmt::format("does not go with {}", command.name));
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
