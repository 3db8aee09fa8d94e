#include "app.hpp"
#include "asker_here.hpp"
#include "moved.hpp"
#include "name.hpp"
#include "options.hpp"

#include <fmt/format.h>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "save", "PATH", "first point the link PATH at the old target"},
    {0, "expect", "OLD", "only if the link points at OLD now, else exit 1"},
    {0, "allow-dangling", "", "TARGET need not exist"},
    {0, "no-sync", "", "do not wait for the disk"},
    {'n', "dry-run", "", "say what would be done"},
    {0, "force", "", "with --app: also a release that is bad or current"},
    json_option,
    quiet_option,
    app_option,
    config_dir_option,
    state_dir_option,
    run_dir_option,
};

constexpr ToolDescription tool{
    .name = "atomic-link",
    .usage = "[OPTIONS] TARGET LINK\n       atomic-link [OPTIONS] --app NAME [RELEASE]",
    .summary = "Point a symlink somewhere else, in one step that survives a power loss.",
    .options = options,
    .epilogue =
        "With --app: the app's link, at RELEASE or the newest release. Keeps the record.\n"
        "Exit status: 0 done or unchanged, 1 refused, 2 usage, 71 system error,\n"
        "75 a deploy is under way, 78 wrong configuration.\n"};

Result<Moved> change_app_link(const CommandLine& line, Reporter& report) {
  for (const char* option : {"save", "expect", "allow-dangling"})
    if (line.has(option)) return fail(Outcome::usage, fmt::format("--{}", option), "does not go with --app");
  if (line.arguments.size() > 1) return fail(Outcome::usage, line.arguments[1], "one RELEASE at most");
  SwapRequest request{.release = {},
                      .force = line.has("force"),
                      .durable = !line.has("no-sync"),
                      .dry_run = line.has("dry-run"),
                      .by = asker_by_hand()};
  if (!line.arguments.empty()) {
    auto release = parse_release_name(line.arguments[0]);
    if (!release) return forward_error(release);
    request.release = *release;
  }
  auto app = load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  return swap_to_release(app->config, app->places, request);
}

Result<Moved> change_named_link(const CommandLine& line) {
  if (line.has("force")) return fail(Outcome::usage, "--force", "goes with --app only");
  if (line.arguments.size() != 2) return fail(Outcome::usage, "", "TARGET and LINK are needed, or --app");
  LinkChange change{.target = line.arguments[0],
                    .link = line.arguments[1],
                    .expect = {},
                    .save = {},
                    .allow_dangling = line.has("allow-dangling"),
                    .durable = !line.has("no-sync"),
                    .dry_run = line.has("dry-run")};
  if (line.has("expect")) change.expect = line.value("expect");
  if (line.has("save")) change.save = line.value("save");
  return change_link(change);
}

Result<int> run(const CommandLine& line, Reporter& report) {
  auto moved = line.has("app") ? change_app_link(line, report) : change_named_link(line);
  if (!moved) return forward_error(moved);
  report.set_field("SAFE_DEPLOY_RELEASE", moved->release);
  print_moved(*moved, line.has("json"), line.has("quiet"), report);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return run_tool(argc, argv, tool, run);
}
