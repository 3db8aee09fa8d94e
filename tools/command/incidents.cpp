#include "command.hpp"
#include "directory.hpp"
#include "incident.hpp"
#include "json.hpp"
#include "name.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace safe_deploy::command {

namespace {

Json to_json(const Incident& incident) {
  Json object = parse_json(incident_to_json(incident));
  object.erase("format");
  object["open"] = incident.is_open();
  return object;
}

Result<std::vector<Incident>> incidents_of(const std::string& state_dir, const std::string& app) {
  auto incidents = list_incidents(state_dir, app);
  if (!incidents && incidents.error().code == std::errc::permission_denied)
    return fail_errno(app, "only root may read incidents, with what the app has logged", EACCES);
  return incidents;
}

// Apps whose configuration is gone have incidents all the same.
Result<std::set<std::string>> apps_of(const Directories& where) {
  auto configured = list_apps(where.config);
  if (!configured) return forward_error(configured);
  std::set<std::string> apps(configured->begin(), configured->end());
  auto state = open_directory(where.state);
  if (!state && state.error().code == std::errc::no_such_file_or_directory) return apps;
  if (!state) return forward_error(state);
  auto listed = list_directory(state->get(), where.state, [&](const char* name, unsigned char type) {
    if ((type == DT_DIR || type == DT_UNKNOWN) && parse_app_name(name)) apps.insert(name);
  });
  if (!listed) return forward_error(listed);
  return apps;
}

// The app of that name, or the one whose unit it is; where the configuration is gone or broken, the name.
Result<App> app_of(const CommandLine& line, Reporter& report) {
  auto app = load_app(line, line.arguments.front(), report);
  if (app || app.error().outcome() == Outcome::usage) return app;
  const std::string unknown = app.error().text();
  auto bare = app_without_config(line, line.arguments.front(), report);
  if (!bare) return bare;
  const std::string record = fmt::format("{}/{}", bare->places.state_dir, bare->config.app);
  return access(record.c_str(), F_OK) == 0 ? std::move(bare) : std::move(app);
}

std::string shown_since(const Incident& incident) {
  return incident.count > 1 ? fmt::format("{} times, last {}", incident.count, incident.last_at)
                            : incident.at;
}

void print_table(const std::vector<Incident>& incidents, bool all) {
  if (incidents.empty()) {
    fmt::print("{}\n", all ? "no incidents" : "no open incidents");
    return;
  }
  std::size_t app = 3;
  std::size_t id = 8;
  for (const auto& incident : incidents) {
    app = std::max(app, incident.app.size());
    id = std::max(id, incident.id.size());
  }
  if (all)
    fmt::print("{:<{}}  {:<{}}  {:<6}  {}\n", "APP", app, "INCIDENT", id, "STATE", "WHY");
  else
    fmt::print("{:<{}}  {:<{}}  {}\n", "APP", app, "INCIDENT", id, "WHY");
  for (const auto& incident : incidents) {
    const std::string& about = !incident.check.empty() ? incident.check : incident.release;
    const std::string times = incident.count > 1 ? fmt::format(" ({} times)", incident.count) : "";
    const std::string why =
        printable(fmt::format("{}{}{}", about, about.empty() ? "" : ": ", incident.reason), 1000) + times;
    if (all)
      fmt::print("{:<{}}  {:<{}}  {:<6}  {}\n", incident.app, app, incident.id, id,
                 incident.is_open() ? "open" : "closed", why);
    else
      fmt::print("{:<{}}  {:<{}}  {}\n", incident.app, app, incident.id, id, why);
  }
}

void print_whole(const Incident& incident) {
  fmt::print("{}: {}, {}\n", incident.app, incident.id, incident.is_open() ? "open" : "closed");
  const auto row = [](const char* name, const std::string& text) {
    if (!text.empty()) fmt::print("  {:<8} {}\n", name, text);
  };
  row("what", incident.kind);
  row("release", incident.release);
  row("check", incident.check);
  row("when", incident.at);
  if (incident.count > 1) row("again", shown_since(incident));
  row("why", incident.reason);
  row("done", incident.done);
  if (!incident.is_open()) row("closed", fmt::format("{} by {}", incident.closed_at, incident.closed_by));
  row("note", incident.note);
  if (!incident.lines.empty()) fmt::print("  it logged last:\n");
  for (const auto& line : incident.lines) fmt::print("    {}\n", line);
  if (incident.is_open())
    fmt::print("  to close it: safe-deploy incidents {} --close {} --note 'what was found'\n", incident.app,
               incident.id);
}

Result<int> list(const CommandLine& line, Reporter& report) {
  const Directories where = directories(line);
  std::set<std::string> apps;
  if (line.arguments.empty()) {
    auto known = apps_of(where);
    if (!known) return forward_error(known);
    apps = *std::move(known);
  } else {
    auto app = app_of(line, report);
    if (!app) return forward_error(app);
    apps.insert(app->config.app);
  }
  std::vector<Incident> found;
  for (const auto& app : apps) {
    auto incidents = incidents_of(where.state, app);
    if (!incidents) return forward_error(incidents);
    for (auto& incident : *incidents)
      if (line.has("all") || incident.is_open()) found.push_back(std::move(incident));
  }
  if (line.has("json")) {
    Json array = Json::array();
    for (const auto& incident : found) array.push_back(to_json(incident));
    fmt::print("{}\n", to_text(Json{{"incidents", std::move(array)}}));
  } else if (!line.has("quiet")) {
    print_table(found, line.has("all"));
  }
  return 0;
}

Result<Incident> find(const App& app, const std::string& id) {
  auto incidents = incidents_of(app.places.state_dir, app.config.app);
  if (!incidents) return forward_error(incidents);
  const auto found = std::find_if(incidents->begin(), incidents->end(),
                                  [&](const Incident& incident) { return incident.id == id; });
  if (found == incidents->end())
    return fail(Outcome::no, fmt::format("'{}'", printable(id, 80)),
                fmt::format("{} has no such incident (safe-deploy incidents {} --all)", app.config.app,
                            app.config.app));
  return *found;
}

Result<int> show(const CommandLine& line, Reporter& report) {
  auto app = app_of(line, report);
  if (!app) return forward_error(app);
  auto incident = find(*app, line.arguments[1]);
  if (!incident) return forward_error(incident);
  if (line.has("json"))
    fmt::print("{}\n", to_text(to_json(*incident)));
  else
    print_whole(*incident);
  return 0;
}

// The user, and who has become it.
std::string who() {
  const uid_t uid = geteuid();
  const passwd* entry = getpwuid(uid); // NOLINT(concurrency-mt-unsafe)
  const std::string name = entry != nullptr ? entry->pw_name : fmt::format("uid {}", uid);
  const char* before = std::getenv("SUDO_USER");
  return before != nullptr && *before != 0 ? fmt::format("{} ({})", printable(before, 64), name) : name;
}

// Of an id alone there is mostly one.
Result<App> app_with(const std::string& id, const CommandLine& line, Reporter& report) {
  auto apps = apps_of(directories(line));
  if (!apps) return forward_error(apps);
  std::vector<std::string> found;
  for (const auto& name : *apps) {
    auto incidents = incidents_of(directories(line).state, name);
    if (!incidents) return forward_error(incidents);
    if (std::any_of(incidents->begin(), incidents->end(),
                    [&](const Incident& incident) { return incident.id == id; }))
      found.push_back(name);
  }
  const std::string shown = fmt::format("'{}'", printable(id, 80));
  if (found.empty())
    return fail(Outcome::no, shown, "there is no such incident (safe-deploy incidents --all)");
  if (found.size() > 1)
    return fail(Outcome::usage, shown,
                fmt::format("is an incident of {}: name the app", fmt::join(found, ", and of ")));
  return app_without_config(line, found.front(), report);
}

Result<int> close(const CommandLine& line, Reporter& report) {
  if (line.value("note").empty())
    return fail(Outcome::usage, "--note", "is needed with --close: what was found, for who meets it next");
  const std::string id = line.value("close");
  auto app = line.arguments.empty() ? app_with(id, line, report) : app_of(line, report);
  if (!app) return forward_error(app);
  if (auto closed = close_incident(app->places.state_dir, app->config.app, id, line.value("note"), who());
      !closed)
    return forward_error(closed);
  auto incident = find(*app, id);
  if (!incident) return forward_error(incident);
  if (line.has("json"))
    fmt::print("{}\n", to_text(to_json(*incident)));
  else if (!line.has("quiet"))
    fmt::print("{}: {} is closed\n", app->config.app, incident->id);
  return 0;
}

} // namespace

Result<int> incidents(const CommandLine& line, Reporter& report) {
  const bool closes = line.has("close");
  const std::size_t most = closes ? 1 : 2;
  if (line.arguments.size() > most)
    return fail(Outcome::usage, printable(line.arguments[most]), "is one argument too many");
  if (line.has("note") && !closes) return fail(Outcome::usage, "--note", "goes with --close");
  if (line.has("all") && (closes || line.arguments.size() == 2))
    return fail(Outcome::usage, "--all", "is for a list, and this is about one incident");
  if (closes) return close(line, report);
  return line.arguments.size() == 2 ? show(line, report) : list(line, report);
}

} // namespace safe_deploy::command
