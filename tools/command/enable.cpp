#include "bus.hpp"
#include "command.hpp"
#include "configure.hpp"
#include "drop_ins.hpp"
#include "guard.hpp"
#include "link.hpp"
#include "name.hpp"
#include "plan.hpp"
#include "warnings.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace safe_deploy::command {

namespace {

// --- What is refused, before anything is changed

// That anything can be changed at all, where anything is to be.
Result<void> needs_changeable(const CommandLine& line, std::string_view command, const std::string& app) {
  if (line.has("dry-run")) return {};
  if (geteuid() != 0)
    return fail_errno(
        app, fmt::format("{0} changes units and needs root ('sudo safe-deploy {0} {1}')", command, app),
        EPERM);
  if (auto usual = needs_usual_directories(line); !usual) return usual;
  return needs_writable_units();
}

Result<UnitState> guardable_unit(Bus& bus, const std::string& name) {
  auto unit = bus.unit(name);
  if (!unit) return unit;
  const std::string& state = unit->load_state;
  if (state == "masked")
    return fail(Outcome::no, name,
                fmt::format("cannot be guarded: it is masked ('systemctl unmask {}')", name));
  if (state == "not-found")
    return fail(Outcome::no, name,
                "cannot be guarded: there is no such unit ([app] unit, or --unit where there is no "
                "configuration yet, names the app's)");
  if (state != "loaded")
    return fail(Outcome::no, name,
                fmt::format("cannot be guarded: it is {0} ('systemctl status {1}')", state, name));
  if (unit->exec_start.empty())
    return fail(Outcome::no, name,
                "cannot be guarded: it has no ExecStart=, and so nothing that a release could be");
  return unit;
}

// The guard knows its unit's name only (guard.conf): each must lead to one app, its own. And each app needs a
// `previous` of its own.
Result<void> refuse_confusable_apps(const std::string& config_dir, const Config& config) {
  auto apps = list_apps(config_dir);
  if (!apps) return forward_error(apps);
  for (const auto& name : *apps) {
    if (name == config.app) continue;
    const auto other = load_config(config_dir, name);
    const std::string unit = other ? other->unit : service_name(name);
    if (unit == config.unit)
      return fail(Outcome::bad_config, config.file, fmt::format("{} is the unit of {}, too", unit, name));
    if (service_name(name) == config.unit || service_name(config.app) == unit)
      return fail(Outcome::bad_config, config.file,
                  fmt::format("{} is named like another app, {}: rename one of the two",
                              service_name(name) == config.unit ? config.unit : unit,
                              service_name(name) == config.unit ? name : config.app));
    if (other && !other->link.empty() && link_directory(other->link) == link_directory(config.link))
      return fail(
          Outcome::bad_config, config.file,
          fmt::format(
              "[app] link is in the same directory as that of {}, and `previous`, which is kept beside it, "
              "would be that of both: give each a directory of its own",
              name));
  }
  return {};
}

bool exists(const std::string& file) {
  struct stat status {};
  return lstat(file.c_str(), &status) == 0;
}

// --- The configuration: the app's own, or one that is about to be written

struct Chosen {
  App app;
  UnitState unit;
};

Result<Chosen> with_new_configuration(const CommandLine& line, const std::string& app, Bus& bus, Plan& plan,
                                      Reporter& report) {
  auto name = configured_unit(line, app);
  if (!name) return forward_error(name);
  auto unit = guardable_unit(bus, *name);
  if (!unit) return forward_error(unit);
  auto text = compose_configuration(line, app, *unit, report);
  if (!text) return forward_error(text);
  const std::string file = configuration_file(line, app);
  const std::array files{IniFile{file, *text}};
  auto config = parse_config(app, files);
  if (!config) return forward_error(config);
  report.set_field("SAFE_DEPLOY_APP", app);
  plan.add(
      fmt::format("write {}", file), [=] { return write_configuration(file, *text); }, *text);
  const Directories where = directories(line);
  return Chosen{{*std::move(config), {where.state, where.run}}, *std::move(unit)};
}

Result<App> with_configuration(const CommandLine& line, const std::string& name, Reporter& report) {
  auto app = load_app(line, name, report);
  if (!app && parse_app_name(name) && !exists(configuration_file(line, name)))
    app.error().problem += fmt::format(" ('safe-deploy enable {} --url URL' writes one)", name);
  return app;
}

// Whether one is to be written. Outcome::no where there is one, and the options say what another one would
// be.
Result<bool> writes_configuration(const CommandLine& line, const std::string& name) {
  if (!asks_for_configuration(line)) return false;
  auto app = parse_app_name(name);
  if (!app) return forward_error(app);
  const std::string file = configuration_file(line, *app);
  struct stat status {};
  if (lstat(file.c_str(), &status) < 0) return true;
  return fail(
      Outcome::no, file,
      fmt::format("is there already, and --url, --port, --releases, --link and --unit say how a new one is "
                  "written: edit it and call 'safe-deploy enable {}' without them, or move it away",
                  *app));
}

} // namespace

Result<int> enable(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto writes = writes_configuration(line, *name);
  if (!writes) return forward_error(writes);
  Chosen chosen;
  if (!*writes) {
    auto app = with_configuration(line, *name, report);
    if (!app) return forward_error(app);
    chosen.app = *std::move(app);
  }
  const Config& config = chosen.app.config;
  if (auto changeable = needs_changeable(line, "enable", *writes ? *name : config.app); !changeable)
    return forward_error(changeable);
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  Plan plan;
  if (*writes) {
    auto found = with_new_configuration(line, *name, *bus, plan, report);
    if (!found) return forward_error(found);
    chosen = *std::move(found);
  } else {
    auto unit = guardable_unit(*bus, config.unit);
    if (!unit) return forward_error(unit);
    chosen.unit = *std::move(unit);
  }
  if (auto clear = refuse_confusable_apps(directories(line).config, config); !clear)
    return forward_error(clear);
  if (auto planned = plan_guard(plan, *bus, chosen.app, chosen.unit, line, report); !planned)
    return forward_error(planned);
  warn_about_unit(chosen.unit, config, line.has("limits"), report);
  if (line.has("dry-run")) {
    plan.tell();
    return 0;
  }
  if (auto done = plan.carry_out(); !done) return forward_error(done);
  if (line.has("quiet")) return 0;
  if (*writes) fmt::print("{}: wrote {}: look it through\n", config.app, config.file);
  fmt::print("{}: {} is guarded{}\n", config.app, config.unit,
             has_limits(config.unit) ? ", and has the limits of limits.conf" : "");
  return 0;
}

Result<int> disable(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  // A guard whose configuration is gone or broken keeps the app down: it can be taken off all the same.
  auto app = load_app(line, *name, report);
  if (!app && app.error().outcome() == Outcome::bad_config) {
    report.say(Priority::warning, app.error().text());
    app = app_without_config(line, *name, report);
  }
  if (!app) return forward_error(app);
  const std::string& known_as = app->config.app;
  if (auto changeable = needs_changeable(line, "disable", known_as); !changeable)
    return forward_error(changeable);
  auto guarded = guarded_unit(app->config);
  if (!guarded) return forward_error(guarded);
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  const bool limited = has_limits(*guarded);
  const bool was_guarded = is_guarded(*guarded);
  Plan plan;
  if (auto planned = plan_end_of_guard(plan, *bus, known_as, *guarded, line); !planned)
    return forward_error(planned);
  if (line.has("dry-run")) {
    plan.tell();
    return 0;
  }
  if (auto done = plan.carry_out(); !done) return forward_error(done);
  if (!was_guarded && !limited && app->config.file.empty())
    return fail(Outcome::no, known_as, "is no app that is known here, and was not guarded");
  if (line.has("quiet")) return 0;
  if (!was_guarded)
    fmt::print("{}: {} was not guarded{}\n", known_as, *guarded,
               limited ? "; the limits of limits.conf are taken back" : "");
  else
    fmt::print("{}: {} is no longer guarded{}; its record is kept\n", known_as, *guarded,
               limited ? ", nor has it the limits of limits.conf" : "");
  return 0;
}

} // namespace safe_deploy::command
