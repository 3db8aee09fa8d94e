#include "bus.hpp"
#include "command.hpp"
#include "directory.hpp"
#include "file.hpp"
#include "name.hpp"
#include "releases.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <optional>

namespace safe_deploy::command {

namespace {

const std::string unit_dir = "/etc/systemd/system";
const std::string guard_source = "/usr/lib/safe-deploy/guard.conf";
const std::string guard_name = "50-safe-deploy.conf";

std::string drop_in_dir(const std::string& unit) {
  return fmt::format("{}/{}.d", unit_dir, unit);
}
std::string guard_link(const Config& config) {
  return fmt::format("{}/{}", drop_in_dir(config.unit), guard_name);
}
std::string reconcile_unit(const std::string& app) {
  return fmt::format("safe-deploy-reconcile@{}.service", app);
}

Result<void> make_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) < 0 && errno != EEXIST)
    return fail_errno(path, "cannot create the directory");
  return {};
}

// The drop-ins that our templates need where the app's unit is not APP.service: path and content.
struct DropIn {
  std::string unit;
  std::string content;
};

const std::string unit_variable = "\nEnvironment=SAFE_DEPLOY_UNIT=";

// Environment= of systemd.exec(5) understands backslashes; a unit's name may hold \x2d and the like.
std::string escape_backslashes(std::string text) {
  for (std::size_t i = text.find('\\'); i != std::string::npos; i = text.find('\\', i + 2))
    text.insert(i, 1, '\\');
  return text;
}

std::vector<DropIn> unit_drop_ins(const Config& config) {
  if (config.unit == service_name(config.app)) return {};
  const std::string environment = fmt::format("# {}: the app's unit has a name of its own.\n[Service]{}{}\n",
                                              config.app, unit_variable, escape_backslashes(config.unit));
  const std::string before = fmt::format("# {}: the app's unit has a name of its own.\n[Unit]\nBefore={}\n",
                                         config.app, config.unit);
  return {{deploy_unit(config.app), environment},
          {rollback_unit(config.app), environment},
          {reconcile_unit(config.app), before}};
}

Result<void> write_drop_in(const DropIn& drop_in) {
  const std::string path = drop_in_dir(drop_in.unit);
  if (auto made = make_directory(path); !made) return made;
  auto directory = open_directory(path);
  if (!directory) return forward_error(directory);
  return replace_file_at(directory->get(), guard_name, fmt::format("{}/{}", path, guard_name),
                         drop_in.content, 0644);
}

Result<void> remove_drop_in(const std::string& unit) {
  const std::string directory = drop_in_dir(unit);
  const std::string path = fmt::format("{}/{}", directory, guard_name);
  if (unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno(path, "cannot remove");
  (void)rmdir(directory.c_str()); // others' drop-ins keep it
  return {};
}

// The unit that `enable` has guarded, which need not be the one that the configuration names by now.
Result<std::string> guarded_unit(const Config& config) {
  const std::string path = fmt::format("{}/{}", drop_in_dir(deploy_unit(config.app)), guard_name);
  auto drop_in = read_file_at(AT_FDCWD, path, path, 65536);
  if (!drop_in && drop_in.error().code != std::errc::no_such_file_or_directory) return forward_error(drop_in);
  const std::size_t found = drop_in ? drop_in->find(unit_variable) : std::string::npos;
  if (found == std::string::npos) return service_name(config.app);
  const std::size_t begin = found + unit_variable.size();
  std::string unit = drop_in->substr(begin, drop_in->find('\n', begin) - begin);
  for (std::size_t i = unit.find("\\\\"); i != std::string::npos; i = unit.find("\\\\", i + 1))
    unit.erase(i, 1);
  return parse_unit_name(unit);
}

// Runs the tool of ours that stands beside this one; its exit status.
Result<int> run_beside(std::vector<std::string> words) {
  std::array<char, 4096> self{};
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size() - 1);
  if (length < 0) return fail_errno("/proc/self/exe", "cannot read");
  const std::string path(self.data(), static_cast<std::size_t>(length));
  const std::string program = path.substr(0, path.rfind('/') + 1) + words.front();
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  (void)std::fflush(stdout);
  pid_t child = 0;
  if (const int error = posix_spawn(&child, program.c_str(), nullptr, nullptr, argv.data(), environ);
      error != 0)
    return fail_errno(program, "cannot run", error);
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail_errno(program, "cannot wait for");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A unit whose command does not go through the link runs the same release whatever is deployed.
void warn_about_link(const UnitState& unit, const Config& config, Reporter& report) {
  if (unit.exec_start.find(config.link) != std::string::npos ||
      unit.working_directory.starts_with(config.link))
    return;
  report.say(Priority::warning, fmt::format("{}: neither its ExecStart= nor its WorkingDirectory= goes "
                                            "through {}: a deploy would change nothing",
                                            config.unit, config.link));
}

// The gates run as root, with the environment of the app's unit: what it is read from must be root's.
void warn_about_environment(const UnitState& unit, Reporter& report) {
  for (const auto& [path, optional] : unit.environment_files) {
    struct stat status {};
    if (stat(path.c_str(), &status) < 0) continue;
    if (status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) continue;
    report.say(
        Priority::warning,
        fmt::format(
            "{}: its EnvironmentFile= {} can be changed by others than root (uid {}, mode {:04o}), who "
            "could so command what the guard runs as root: give it to root",
            unit.name, path, status.st_uid, status.st_mode & 07777));
  }
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

// What runs now and is healthy is what the first bad deploy is rolled back to.
Result<void> record_running_release(const App& app, const UnitState& unit, Reporter& report) {
  auto releases = Releases::open(app.config);
  if (!releases) return forward_error(releases);
  auto current = releases->named_by(app.config.link);
  if (!current) return forward_error(current);
  auto state = Ledger::read(app.places.state_dir, app.config.app);
  if (state && state->is(*current, Mark::good)) return {};
  if (current->empty() || unit.active_state != "active") {
    report.say(Priority::notice,
               fmt::format("{}: {}: nothing is recorded as good yet", app.config.app,
                           current->empty() ? "no release is current" : app.config.unit + " is not running"));
    return {};
  }
  auto healthy =
      run_beside({"health-wait", "--app", app.config.app, "--attempts", "3", "--timeout", "15s", "--quiet"});
  if (!healthy) return forward_error(healthy);
  if (*healthy != 0) {
    report.say(Priority::warning,
               fmt::format("{}: {} is not healthy: it is not recorded as good", app.config.app, *current));
    return {};
  }
  auto change = Ledger::Change::begin(app.places.state_dir, app.config.app, lock_patience, *current);
  if (!change) return forward_error(change);
  if (change->state().phase != Phase::idle) return {};
  return change->commit(step::mark(change->state(), *current, Mark::good,
                                   "healthy when safe-deploy was enabled", Moment::now()));
}

} // namespace

Result<int> enable(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 1);
  if (!name) return forward_error(name);
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  const Config& config = app->config;
  auto releases = Releases::open(config); // what is wrong with them is said before anything is changed
  if (!releases) return forward_error(releases);
  if (auto current = releases->named_by(config.link); !current) return forward_error(current);
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  auto unit = bus->unit(config.unit);
  if (!unit) return forward_error(unit);
  if (unit->load_state != "loaded")
    return fail(Outcome::no, config.unit, fmt::format("cannot be guarded: it is {}", unit->load_state));
  if (auto clear = refuse_confusable_apps(directories(line).config, config); !clear)
    return forward_error(clear);
  warn_about_link(*unit, config, report);
  warn_about_environment(*unit, report);

  if (auto recorded = record_running_release(*app, *unit, report); !recorded) return forward_error(recorded);
  auto before = guarded_unit(config);
  if (!before) return forward_error(before);
  if (*before != config.unit) // [app] unit has changed since
    for (const auto& former :
         {*before, deploy_unit(config.app), rollback_unit(config.app), reconcile_unit(config.app)})
      if (auto removed = remove_drop_in(former); !removed) return forward_error(removed);
  if (auto made = make_directory(drop_in_dir(config.unit)); !made) return forward_error(made);
  if (auto linked = point_link(guard_link(config), guard_source, true); !linked) return forward_error(linked);
  for (const auto& drop_in : unit_drop_ins(config))
    if (auto written = write_drop_in(drop_in); !written) return forward_error(written);
  if (auto enabled = bus->enable_unit_file(reconcile_unit(config.app)); !enabled)
    return forward_error(enabled);
  if (auto reloaded = bus->call_manager("Reload"); !reloaded) return forward_error(reloaded);
  if (!line.has("quiet")) fmt::print("{}: {} is guarded\n", config.app, config.unit);
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
  auto guarded = guarded_unit(app->config);
  if (!guarded) return forward_error(guarded);
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  for (const auto& unit :
       {*guarded, deploy_unit(known_as), rollback_unit(known_as), reconcile_unit(known_as)})
    if (auto removed = remove_drop_in(unit); !removed) return forward_error(removed);
  if (auto disabled = bus->disable_unit_file(reconcile_unit(known_as)); !disabled)
    return forward_error(disabled);
  if (auto reloaded = bus->call_manager("Reload"); !reloaded) return forward_error(reloaded);
  if (!line.has("quiet")) fmt::print("{}: {} is no longer guarded; its record is kept\n", known_as, *guarded);
  return 0;
}

} // namespace safe_deploy::command
