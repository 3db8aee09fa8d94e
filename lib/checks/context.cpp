#include "checks/context.hpp"

#include "apart.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "releases.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

constexpr auto time_to_look = std::chrono::seconds(5);

// In the other process: '=' and the release, or '?' and why it is not known. That there is no directory yet,
// or no link, is no release.
std::string look_for_release(const Config& config) {
  const auto unknown = [](const Error& error) {
    return error.code == std::errc::no_such_file_or_directory ? "=" : "?" + error.text();
  };
  const auto releases = Releases::open(config);
  if (!releases) return unknown(releases.error());
  const auto current = releases->named_by(config.link);
  return current ? "=" + *current : unknown(current.error());
}

void find_release(const Config& config, CheckContext& context) {
  if (!config.needs_releases()) return;
  // A file system that is dead would hold the tool for ever (path_look.hpp).
  Apart apart([&config] { return [&config](std::string_view) { return look_for_release(config); }; });
  const auto told = apart.ask("", Deadline::after(time_to_look));
  if (told && told->starts_with('='))
    context.release = told->substr(1);
  else if (told)
    context.release_unknown = told->substr(std::min<std::size_t>(told->size(), 1));
  else if (told.error().outcome() == Outcome::timed_out)
    context.release_unknown = fmt::format("{}: does not answer within {}", printable(config.releases),
                                          format_duration(time_to_look));
  else
    context.release_unknown = fmt::format("{}: {}", printable(config.releases), told.error().text());
}

} // namespace

CheckContext make_context(const Config& config, std::string credentials) {
  CheckContext context{.app = config.app,
                       .link = config.link,
                       .unit = config.unit,
                       .unprivileged = unprivileged_user(),
                       .credentials = std::move(credentials),
                       .units = std::make_shared<Units>()};
  find_release(config, context);
  return context;
}

} // namespace safe_deploy
