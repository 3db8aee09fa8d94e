#include "calendar.hpp"
#include "command.hpp"
#include "deploys.hpp"
#include "quantity.hpp"
#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <limits>

namespace safe_deploy::command {

namespace {

constexpr std::size_t usual_lines = 10;

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : printable(text);
}

void print_table(const std::vector<Deploy>& deploys) {
  Table table({"NUMBER", "STARTED", "RELEASE", "FROM", "BY", "OUTCOME", "TOOK", "REASON"});
  for (const Deploy& deploy : deploys)
    table.add({fmt::format("{}", deploy.number),
               deploy.steps.empty() ? "-" : local_time(deploy.steps.front().at), or_dash(deploy.release),
               or_dash(deploy.from), asked_by(deploy.by), outcome_text(deploy), took_text(deploy),
               printable(deploy.reason, 4096)});
  fmt::print("{}", table.text(terminal_columns()));
}

} // namespace

// The newest first, so that the Nth line is what `plot APP N` draws.
Result<int> history(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  std::size_t most = line.has("since") ? std::numeric_limits<std::size_t>::max() : usual_lines;
  if (line.has("lines")) {
    auto lines = of_option("lines", parse_count(line.value("lines"), 1, 1'000'000));
    if (!lines) return forward_error(lines);
    most = *lines;
  }
  std::string since;
  if (line.has("since")) {
    auto parsed = of_option("since", parse_since(line.value("since"), std::time(nullptr)));
    if (!parsed) return forward_error(parsed);
    since = *std::move(parsed);
  }
  auto app = app_with_record(line, *name, report);
  if (!app) return forward_error(app);
  auto deploys = last_deploys(app->places.state_dir, app->config.app, most, since);
  if (!deploys) return forward_error(deploys);
  std::reverse(deploys->begin(), deploys->end());
  if (line.has("json")) {
    Json array = Json::array();
    for (const Deploy& deploy : *deploys) array.push_back(to_json(deploy));
    fmt::print("{}\n", to_text(Json{{"app", app->config.app}, {"deploys", std::move(array)}}));
  } else if (deploys->empty()) {
    report.say(Priority::info, fmt::format("{}: nothing was deployed {}", app->config.app,
                                           since.empty() ? "yet" : "since then"));
  } else {
    print_table(*deploys);
  }
  return 0;
}

} // namespace safe_deploy::command
