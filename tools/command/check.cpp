#include "beside.hpp"
#include "command.hpp"
#include "drop_ins.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace safe_deploy::command {

namespace {

// The checks whose answer is about what the one who asks may do; the deploy asks as root.
void tell_who_asks(const Config& config, const std::vector<std::string>& only, Reporter& report) {
  if (geteuid() == 0) return;
  constexpr std::array<std::string_view, 6> kinds{"exec",    "environment", "path",
                                                  "journal", "certificate", "metric"};
  std::vector<std::string> names;
  for (const auto& section : config.checks)
    if (section.preflight && std::find(kinds.begin(), kinds.end(), section.kind) != kinds.end() &&
        (only.empty() || std::find(only.begin(), only.end(), section.name) != only.end()))
      names.push_back(section.name);
  if (!names.empty())
    report.say(Priority::notice, fmt::format("not asked as root, as a deploy does: the answer may be another "
                                             "one for {}",
                                             fmt::join(names, ", ")));
}

} // namespace

Result<int> check(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  auto program = beside("preflight");
  if (!program) return forward_error(program);
  // The unit of the deploy knows which unit it restarts; preflight compares.
  auto unit = guarded_unit(app->config);
  if (!unit) return forward_error(unit);
  if (setenv("SAFE_DEPLOY_UNIT", unit->c_str(), 1) < 0)
    return fail_errno("SAFE_DEPLOY_UNIT", "cannot be set");
  std::vector<std::string> words{*program, "--app", app->config.app};
  for (const std::string_view option : {"only", "config-dir", "state-dir", "run-dir"})
    for (auto& value : line.values(option)) {
      words.push_back(fmt::format("--{}", option));
      words.push_back(std::move(value));
    }
  for (const std::string_view option : {"json", "quiet"})
    if (line.has(option)) words.push_back(fmt::format("--{}", option));
  tell_who_asks(app->config, line.values("only"), report);
  return become(words, report);
}

} // namespace safe_deploy::command
