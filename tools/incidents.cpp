#include "incidents.hpp"

#include "journal.hpp"
#include "message_ids.hpp"

#include <fmt/format.h>

#include <limits>

namespace safe_deploy {

namespace {

constexpr std::size_t most_lines = 20;

} // namespace

bool report_incident(const Places& places, Incident incident, Reporter& report) {
  const std::string app = incident.app;
  auto id = open_incident(places.state_dir, std::move(incident));
  if (!id) {
    report.say(Priority::warning, fmt::format("the incident is not recorded: {}", id.error().text()));
    return false;
  }
  report.say(Priority::notice,
             fmt::format("{}: incident {}: 'safe-deploy incidents {} {}' shows it", app, *id, app, *id),
             message_incident, {{"SAFE_DEPLOY_INCIDENT", *id}});
  return true;
}

std::vector<std::string> last_lines(const std::string& unit, const LastDeploy& deploy,
                                    const std::string& to) {
  const std::uint64_t from = microseconds_of(deploy.started);
  if (unit.empty() || from == 0) return {};
  // It is told in milliseconds.
  const std::uint64_t until =
      to.empty() ? std::numeric_limits<std::int64_t>::max() : microseconds_of(to) + 999;
  return messages_between(unit, from, until, most_lines).value_or(std::vector<std::string>());
}

} // namespace safe_deploy
