#include "bus.hpp"
#include "command.hpp"
#include "file.hpp"
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

std::vector<DropIn> unit_drop_ins(const Config& config) {
  if (config.unit == service_name(config.app)) return {};
  const std::string environment =
      fmt::format("# {}: the app's unit has a name of its own.\n[Service]\nEnvironment=SAFE_DEPLOY_UNIT={}\n",
                  config.app, config.unit);
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
  auto change = Ledger::Change::begin(app.places.state_dir, app.config.app);
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
  warn_about_link(*unit, config, report);

  if (auto recorded = record_running_release(*app, *unit, report); !recorded) return forward_error(recorded);
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
  auto app = load_app(line, *name, report);
  if (!app) return forward_error(app);
  const Config& config = app->config;
  auto bus = Bus::open_system();
  if (!bus) return forward_error(bus);
  for (const auto& unit :
       {config.unit, deploy_unit(config.app), rollback_unit(config.app), reconcile_unit(config.app)})
    if (auto removed = remove_drop_in(unit); !removed) return forward_error(removed);
  if (auto disabled = bus->disable_unit_file(reconcile_unit(config.app)); !disabled)
    return forward_error(disabled);
  if (auto reloaded = bus->call_manager("Reload"); !reloaded) return forward_error(reloaded);
  if (!line.has("quiet"))
    fmt::print("{}: {} is no longer guarded; its record is kept\n", config.app, config.unit);
  return 0;
}

} // namespace safe_deploy::command
