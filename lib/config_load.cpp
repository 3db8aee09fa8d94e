#include "config.hpp"
#include "name.hpp"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace safe_deploy {

namespace {

bool is_missing(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory;
}

struct DirCloser {
  void operator()(DIR* directory) const { (void)closedir(directory); }
};

// The names in a directory that end in `suffix` and are not hidden, sorted by their bytes.
Result<std::vector<std::string>> list_directory(const std::string& path, std::string_view suffix) {
  const std::unique_ptr<DIR, DirCloser> directory(opendir(path.c_str()));
  if (!directory) {
    if (errno == ENOTDIR) return fail(Outcome::bad_config, path, "is not a directory");
    return fail_errno(path, "cannot open");
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr && errno != 0) return fail_errno(path, "cannot read");
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name.front() != '.' && name.size() > suffix.size() &&
        name.substr(name.size() - suffix.size()) == suffix)
      names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// ENOENT if there is no APP.conf.
Result<Config> load_app(const std::string& config_dir, const std::string& app) {
  std::vector<IniFile> files;
  const auto add = [&](const std::string& path) -> Result<void> {
    auto file = read_ini_file(path);
    if (!file) return forward_error(file);
    files.push_back(*std::move(file));
    return {};
  };
  const std::string path = fmt::format("{}/{}.conf", config_dir, app);
  if (auto added = add(path); !added) return forward_error(added);
  const std::string drop_in_dir = path + ".d";
  auto drop_ins = list_directory(drop_in_dir, ".conf");
  if (!drop_ins && !is_missing(drop_ins.error())) return forward_error(drop_ins);
  for (const auto& name : drop_ins.value_or(std::vector<std::string>())) {
    auto added = add(fmt::format("{}/{}", drop_in_dir, name));
    // A link to nowhere is no reason to look for this app elsewhere.
    if (!added && is_missing(added.error()))
      return fail(Outcome::bad_config, added.error().subject, "is a link to nowhere");
    if (!added) return forward_error(added);
  }
  return parse_config(app, files);
}

// The one app whose unit it is. Configurations that cannot be read are passed over, since they are another
// app's problem, but told where nothing is found.
Result<Config> load_by_unit(const std::string& config_dir, const std::string& unit, Error not_found) {
  auto apps = list_apps(config_dir);
  if (!apps) return forward_error(apps);
  std::optional<Config> found;
  std::string passed_over;
  for (const auto& app : *apps) {
    auto config = load_app(config_dir, app);
    if (!config) {
      passed_over += fmt::format("; passed over {}", config.error().text());
      continue;
    }
    if (config->unit != unit) continue;
    if (found)
      return fail(Outcome::bad_config, unit,
                  fmt::format("is the unit of two apps, in {} and {}", found->file, config->file));
    found = *std::move(config);
  }
  if (found) return *std::move(found);
  not_found.problem += passed_over;
  return tl::unexpected<Error>(std::move(not_found));
}

} // namespace

Result<Config> load_config(const std::string& config_dir, std::string_view name) {
  const std::string unit = fmt::format("{}.service", name);
  auto app = parse_app_name(name);
  if (!app) {
    // What systemd escapes in a unit's name (foo\x2dbar) is no app's name, but may be an app's unit.
    if (!parse_unit_name(unit)) return forward_error(app);
    return load_by_unit(config_dir, unit, std::move(app.error()));
  }
  auto config = load_app(config_dir, *app);
  if (config || !is_missing(config.error())) return config;
  return load_by_unit(config_dir, unit,
                      Error{fmt::format("{}/{}.conf", config_dir, *app),
                            fmt::format("there is no such configuration, and no app's unit is {}", unit),
                            Outcome::bad_config});
}

Result<std::vector<std::string>> list_apps(const std::string& config_dir) {
  constexpr std::string_view suffix = ".conf";
  auto names = list_directory(config_dir, suffix);
  if (!names && is_missing(names.error())) return std::vector<std::string>();
  if (!names) return names;
  std::vector<std::string> apps;
  for (const auto& name : *names)
    if (auto app = parse_app_name(std::string_view(name).substr(0, name.size() - suffix.size())))
      apps.push_back(*std::move(app));
  std::sort(apps.begin(), apps.end());
  return apps;
}

} // namespace safe_deploy
