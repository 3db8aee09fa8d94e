#include "drop_ins.hpp"

#include "bus.hpp"
#include "command.hpp"
#include "directory.hpp"
#include "file.hpp"
#include "link.hpp"
#include "name.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

namespace safe_deploy::command {

namespace {

const std::string unit_dir = "/etc/systemd/system";
const std::string guard_source = "/usr/lib/safe-deploy/guard.conf";
const std::string guard_name = "50-safe-deploy.conf";
const std::string limits_source = "/usr/lib/safe-deploy/limits.conf";
const std::string limits_name = "40-safe-deploy-limits.conf";
const std::string unit_variable = "\nEnvironment=SAFE_DEPLOY_UNIT=";

std::string drop_in_dir(const std::string& unit) {
  return fmt::format("{}/{}.d", unit_dir, unit);
}
std::string drop_in_path(const std::string& unit, const std::string& name) {
  return fmt::format("{}/{}", drop_in_dir(unit), name);
}

bool exists(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

bool leads_to(const std::string& link, const std::string& target) {
  const auto text = read_link(link);
  return text && *text == target;
}

Result<void> make_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) < 0 && errno != EEXIST)
    return fail_errno(path, "cannot create the directory");
  return {};
}

Result<void> remove_file(const std::string& unit, const std::string& name) {
  const std::string path = drop_in_path(unit, name);
  if (unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno(path, "cannot remove");
  (void)rmdir(drop_in_dir(unit).c_str()); // others' drop-ins keep it
  return {};
}

// The drop-ins that our templates need where the app's unit is not APP.service, or its place is protected.
struct DropIn {
  std::string unit;
  std::string content;
};

// Environment= of systemd.exec(5) understands backslashes; a unit's name may hold \x2d and the like.
std::string escape_backslashes(std::string text) {
  for (std::size_t i = text.find('\\'); i != std::string::npos; i = text.find('\\', i + 2))
    text.insert(i, 1, '\\');
  return text;
}

// asks.conf has ProtectSystem=yes, under which these are read-only.
bool is_protected(const std::string& path) {
  return path.starts_with("/usr/") || path.starts_with("/boot/") || path.starts_with("/efi/");
}

// The directories in which a deploy changes something, and may not without being told. In quotes, with '%'
// doubled: see systemd.unit(5).
std::string protected_places(const Config& config) {
  std::string places;
  for (const auto& place : {link_directory(config.link), config.releases})
    if (is_protected(place + "/") && places.find(fmt::format("\"{}\"", place)) == std::string::npos)
      places += fmt::format(" \"{}\"", place);
  for (std::size_t i = places.find('%'); i != std::string::npos; i = places.find('%', i + 2))
    places.insert(i, 1, '%');
  return places.empty() ? places : "\nReadWritePaths=" + places.substr(1);
}

// plan_removal() names the same units.
std::vector<DropIn> unit_drop_ins(const Config& config) {
  const bool has_own_name = config.unit != service_name(config.app);
  const std::string places = protected_places(config);
  const auto drop_in = [&](std::string_view lines) {
    return fmt::format("# {}: what is not as usual.\n{}\n", config.app, lines);
  };
  std::vector<DropIn> drop_ins;
  if (has_own_name || !places.empty()) {
    const std::string variable = has_own_name ? unit_variable + escape_backslashes(config.unit) : "";
    for (const auto& unit : {deploy_unit(config.app), rollback_unit(config.app)})
      drop_ins.push_back({unit, drop_in(fmt::format("[Service]{}{}", variable, places))});
  }
  if (has_own_name) {
    drop_ins.push_back({reconcile_unit(config.app), drop_in(fmt::format("[Unit]\nBefore={}", config.unit))});
    drop_ins.push_back({watch_unit(config.app), drop_in(fmt::format("[Unit]\nAfter={}", config.unit))});
  }
  return drop_ins;
}

Result<void> write_drop_in(const DropIn& drop_in) {
  const std::string path = drop_in_dir(drop_in.unit);
  if (auto made = make_directory(path); !made) return made;
  auto directory = open_directory(path);
  if (!directory) return forward_error(directory);
  return replace_file_at(directory->get(), guard_name, drop_in_path(drop_in.unit, guard_name),
                         drop_in.content, 0644);
}

void plan_link(Plan& plan, const std::string& unit, const std::string& name, const std::string& source) {
  const std::string path = drop_in_path(unit, name);
  if (leads_to(path, source)) return;
  plan.add(fmt::format("link {} -> {}", path, source), [=]() -> Result<void> {
    if (auto made = make_directory(drop_in_dir(unit)); !made) return made;
    return point_link(path, source, true);
  });
}

void plan_removal_of(Plan& plan, const std::string& unit, const std::string& name) {
  const std::string path = drop_in_path(unit, name);
  if (exists(path)) plan.add(fmt::format("remove {}", path), [=] { return remove_file(unit, name); });
}

} // namespace

Result<void> needs_writable_units() {
  if (access(unit_dir.c_str(), W_OK) < 0)
    return fail_errno(unit_dir, "is where the guard of a unit is put, and cannot be written to");
  return {};
}

Result<std::string> guarded_unit(const Config& config) {
  const std::string path = drop_in_path(deploy_unit(config.app), guard_name);
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

bool is_guarded(const std::string& unit) {
  return exists(drop_in_path(unit, guard_name));
}

bool has_limits(const std::string& unit) {
  return leads_to(drop_in_path(unit, limits_name), limits_source);
}

void plan_drop_ins(Plan& plan, const Config& config, bool limits) {
  plan_link(plan, config.unit, guard_name, guard_source);
  if (limits) plan_link(plan, config.unit, limits_name, limits_source);
  for (const auto& drop_in : unit_drop_ins(config)) {
    const std::string path = drop_in_path(drop_in.unit, guard_name);
    const auto before = read_file_at(AT_FDCWD, path, path, 65536);
    if (before && *before == drop_in.content) continue;
    plan.add(
        fmt::format("write {}", path), [=] { return write_drop_in(drop_in); }, drop_in.content);
  }
}

void plan_removal(Plan& plan, const std::string& app, const std::string& unit) {
  for (const auto& one : {unit, deploy_unit(app), rollback_unit(app), reconcile_unit(app), watch_unit(app)})
    plan_removal_of(plan, one, guard_name);
  if (has_limits(unit)) plan_removal_of(plan, unit, limits_name);
}

} // namespace safe_deploy::command
