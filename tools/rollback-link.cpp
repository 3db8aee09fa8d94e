#include "app.hpp"
#include "asker_here.hpp"
#include "bus.hpp"
#include "moved.hpp"
#include "name.hpp"
#include "options.hpp"
#include "unit_names.hpp"

#include <fmt/format.h>

#include <cstdlib>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "to", "RELEASE", "to this release, whatever is known of it"},
    {0, "reason", "TEXT", "why the release that is left is bad"},
    {0, "no-sync", "", "do not wait for the disk"},
    {'n', "dry-run", "", "say what would be done"},
    json_option,
    quiet_option,
    app_option,
    config_dir_option,
    state_dir_option,
    run_dir_option,
};

constexpr ToolDescription tool{
    .name = "rollback-link",
    .usage = "[OPTIONS] --app NAME\n       rollback-link [OPTIONS] LINK PREVIOUS",
    .summary = "Point a symlink back to what ran well before.",
    .options = options,
    .epilogue =
        "With --app: to the newest good release; the one that is left becomes bad. Where\n"
        "the current one is good, and neither --to nor --reason is given, nothing\n"
        "changes.\n"
        "Exit status: 0 done or unchanged, 1 nothing to go back to or refused, 2 usage,\n"
        "71 system error, 75 the record is locked, 78 wrong configuration.\n"};

// What the deploy that this is the rollback of failed in, where no tool of ours has noted it: a hook, mostly.
std::string how_deploy_failed(const std::string& app) {
  if (std::getenv("INVOCATION_ID") == nullptr) return "";
  auto bus = Bus::open_system(Deadline::after(std::chrono::seconds(5)));
  if (!bus) return "";
  const auto unit = bus->unit(deploy_unit(app));
  if (!unit || unit->active_state != "failed") return "";
  for (const char* lines : {"ExecStartPre", "ExecStart", "ExecStartPost"}) {
    const auto runs = bus->commands(deploy_unit(app), lines);
    if (!runs) continue;
    for (const auto& run : *runs)
      if (!run.may_fail && !run.how_it_failed.empty())
        return fmt::format("{} ({}= of {}) {}", printable(run.path.substr(run.path.rfind('/') + 1), 60),
                           lines, deploy_unit(app), run.how_it_failed);
  }
  return unit->result == "success" ? "" : fmt::format("{} failed ({})", deploy_unit(app), unit->result);
}

Result<Moved> roll_back_app(const CommandLine& line, Reporter& report) {
  if (!line.arguments.empty()) return fail(Outcome::usage, line.arguments[0], "does not go with --app");
  RollbackRequest request{.release = {},
                          .reason = line.value("reason"),
                          .durable = !line.has("no-sync"),
                          .dry_run = line.has("dry-run"),
                          .by = asker_by_hand()};
  if (line.has("to")) {
    auto release = parse_release_name(line.value("to"));
    if (!release) return forward_error(release);
    request.release = *release;
  }
  auto app = load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  request.otherwise = how_deploy_failed(app->config.app);
  return roll_back(app->config, app->places, request);
}

Result<Moved> roll_back_link(const CommandLine& line) {
  for (const char* option : {"to", "reason"})
    if (line.has(option)) return fail(Outcome::usage, fmt::format("--{}", option), "goes with --app only");
  if (line.arguments.size() != 2) return fail(Outcome::usage, "", "--app is needed, or LINK and PREVIOUS");
  const std::string& previous = line.arguments[1];
  auto link = read_link(line.arguments[0]);
  if (!link) return forward_error(link);
  if (!*link) return fail(Outcome::no, line.arguments[0], "does not exist: there is nothing to go back from");
  auto target = read_link(previous);
  if (!target) return forward_error(target);
  if (!*target) return fail(Outcome::no, previous, "does not exist: nothing to go back to");
  const bool beside = link_directory(previous) == link_directory(line.arguments[0]);
  return change_link({.target = beside ? **target : resolve_target(previous, **target),
                      .link = line.arguments[0],
                      .expect = {},
                      .save = {},
                      .durable = !line.has("no-sync"),
                      .dry_run = line.has("dry-run")});
}

Result<int> run(const CommandLine& line, Reporter& report) {
  auto moved = line.has("app") ? roll_back_app(line, report) : roll_back_link(line);
  if (!moved) return forward_error(moved);
  report.set_field("SAFE_DEPLOY_RELEASE", moved->release);
  print_moved(*moved, line.has("json"), line.has("quiet"), report);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return run_tool(argc, argv, tool, run);
}
