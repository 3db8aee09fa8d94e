#include "app.hpp"
#include "json.hpp"
#include "message_ids.hpp"
#include "name.hpp"
#include "options.hpp"
#include "prune.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <cstdio>

using namespace safe_deploy;

namespace {

constexpr Option options[] = {
    {0, "keep", "N",
     "keep N good releases (default: [app] keep, which is 5);\n0 or infinity: keep all, remove nothing"},
    {'n', "dry-run", "", "say what would be removed"},
    json_option,
    quiet_option,
    app_option,
    config_dir_option,
    state_dir_option,
    run_dir_option,
};

constexpr ToolDescription tool{
    .name = "release-prune",
    .usage = "[OPTIONS] --app NAME",
    .summary = "Remove old releases of an app.",
    .options = options,
    .epilogue =
        "Removed are bad releases that are older than the current one, and all that are\n"
        "older than the oldest of the N newest good ones. Never removed are the current\n"
        "and the previous release, the candidate, the newest good one, what is asked for,\n"
        "what a running process uses, and what another app needs that shares the\n"
        "directory.\n"
        "Exit status: 0 done or nothing to do, 1 refused, 2 usage, 71 something could not\n"
        "be removed, 75 the record is locked, 78 wrong configuration.\n"};

// Whoever shares the directory must be asked: so each configuration must be readable.
Result<std::vector<Config>> all_apps(const std::string& config_dir) {
  auto names = list_apps(config_dir);
  if (!names) return forward_error(names);
  std::vector<Config> apps;
  for (const auto& name : *names) {
    auto config = load_config(config_dir, name);
    if (!config) return forward_error(config);
    apps.push_back(std::move(*config));
  }
  return apps;
}

Result<PruneRequest> request_of(const CommandLine& line) {
  PruneRequest request{.keep = {}, .dry_run = line.has("dry-run")};
  if (!line.has("keep")) return request;
  auto keep = parse_keep(line.value("keep"));
  if (!keep)
    return fail(Outcome::usage, "--keep", fmt::format("{} {}", keep.error().subject, keep.error().problem));
  request.keep = *keep;
  return request;
}

void print_json(const Pruned& pruned) {
  Json kept = Json::array();
  for (const auto& [release, holder] : pruned.kept.by)
    kept.push_back({{"release", release}, {"used_by", holder.text()}});
  Json failures = Json::array();
  for (const auto& failure : pruned.failures) failures.push_back(failure.text());
  const Json object{{"removed", pruned.removed},
                    {"kept", std::move(kept)},
                    {"not_looked_into", pruned.kept.not_looked_into},
                    {"failures", std::move(failures)}};
  fmt::print("{}\n", to_text(object));
}

void print_text(const Pruned& pruned, bool dry_run) {
  for (const auto& release : pruned.removed)
    fmt::print("{}: {}\n", release, dry_run ? "would be removed" : "removed");
  if (pruned.removed.empty() && pruned.kept.by.empty() && pruned.failures.empty())
    fmt::print("nothing to remove\n");
}

Result<int> run(const CommandLine& line, Reporter& report) {
  if (!line.has("app")) return fail(Outcome::usage, "--app", "is needed");
  if (!line.arguments.empty()) return fail(Outcome::usage, line.arguments[0], "is one argument too many");
  auto request = request_of(line);
  if (!request) return forward_error(request);
  auto app = load_app(line, line.value("app"), report);
  if (!app) return forward_error(app);
  auto others = all_apps(directories(line).config);
  if (!others) return forward_error(others);
  auto pruned = prune(app->config, app->places, *others, *request);
  if (!pruned) return forward_error(pruned);

  if (!pruned->note.empty()) report.say(Priority::warning, pruned->note, message_record_set_aside);
  for (const auto& [release, holder] : pruned->kept.by)
    report.say(Priority::warning, fmt::format("{}: kept, since {} uses it", release, holder.text()), {},
               {{"SAFE_DEPLOY_RELEASE", release}});
  if (pruned->kept.not_looked_into > 0)
    report.say(Priority::warning,
               fmt::format("{} processes could not be looked into: whether they use a release is not known",
                           pruned->kept.not_looked_into));
  for (const auto& failure : pruned->failures)
    report.say(Priority::error, failure.text(), message_not_pruned);
  if (line.has("json"))
    print_json(*pruned);
  else if (!line.has("quiet"))
    print_text(*pruned, request->dry_run);
  return pruned->failures.empty() ? 0 : static_cast<int>(Outcome::os_error);
}

} // namespace

int main(int argc, char** argv) {
  return run_tool(argc, argv, tool, run);
}
