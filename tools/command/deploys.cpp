#include "deploys.hpp"

#include "ledger.hpp"
#include "quantity.hpp"
#include "timeline.hpp"

#include <unistd.h>

#include <cmath>

namespace safe_deploy::command {

Result<App> app_with_record(const CommandLine& line, const std::string& name, Reporter& report) {
  auto app = load_app(line, name, report);
  if (app || app.error().outcome() != Outcome::bad_config) return app;
  auto bare = app_without_config(line, name, report);
  if (bare && access(fmt::format("{}/{}", bare->places.state_dir, name).c_str(), F_OK) == 0) return bare;
  return app;
}

std::string asked_by(const Asker& by) {
  std::string text = !by.user.empty() ? printable(by.user, 40) : by.uid ? fmt::format("uid {}", *by.uid) : "";
  if (!by.sudo_user.empty())
    text += fmt::format("{}({})", text.empty() ? "" : " ", printable(by.sudo_user, 40));
  if (!by.job.empty()) text += fmt::format("{}{}", text.empty() ? "" : ", ", printable(by.job));
  return text.empty() ? "-" : text;
}

std::string outcome_text(const Deploy& deploy) {
  std::string text = deploy.outcome;
  if (deploy.kind == "rollback")
    text = deploy.outcome == "rolled-back" ? "rollback" : "rollback, " + deploy.outcome;
  return text + (deploy.forced ? ", forced" : "");
}

bool is_open(const Deploy& deploy) {
  return deploy.outcome == "under way" || deploy.outcome == "probation";
}

std::string seconds_text(double seconds) {
  constexpr double most = 1e12; // as a Duration
  if (!(seconds >= 0 && seconds < most)) return "-";
  return format_duration(Duration(static_cast<Duration::rep>(std::llround(seconds * 1e6))));
}

std::string took_text(const Deploy& deploy) {
  const std::optional<double> took = is_open(deploy) ? seconds_until_now(deploy) : deploy.took();
  return took ? seconds_text(*took) : "-";
}

std::optional<double> seconds_until_now(const Deploy& deploy) {
  const Moment now = Moment::now();
  HistoryStep step;
  step.at = now.at;
  step.boot = now.boot;
  step.monotonic = now.monotonic;
  return seconds_into(deploy, step);
}

Json to_json(const Deploy& deploy) {
  const auto since_begin = [&](const HistoryStep& step) {
    const HistoryStep& first = deploy.steps.front();
    return step.boot.empty() || step.boot != first.boot ? Json() : Json(step.monotonic - first.monotonic);
  };
  Json by = Json::object();
  if (deploy.by.uid) by["uid"] = *deploy.by.uid;
  for (const auto& [key, value] :
       {std::pair("user", &deploy.by.user), {"sudo_user", &deploy.by.sudo_user}, {"job", &deploy.by.job}})
    if (!value->empty()) by[key] = *value;
  Json steps = Json::array();
  for (const auto& step : deploy.steps)
    steps.push_back({{"event", step.event},
                     {"at", step.at},
                     {"seconds", since_begin(step)},
                     {"release", step.release},
                     {"phase", step.phase},
                     {"reason", step.reason}});
  const bool has_steps = !deploy.steps.empty();
  const auto took = deploy.took();
  return {{"number", deploy.number},
          {"kind", deploy.kind},
          {"release", deploy.release},
          {"from", deploy.from},
          {"started", has_steps ? deploy.steps.front().at : ""},
          {"ended", has_steps && !is_open(deploy) ? deploy.steps.back().at : ""},
          {"by", std::move(by)},
          {"forced", deploy.forced},
          {"outcome", deploy.outcome},
          {"reason", deploy.reason},
          {"seconds", took && !is_open(deploy) ? Json(*took) : Json()},
          {"steps", std::move(steps)}};
}

} // namespace safe_deploy::command
