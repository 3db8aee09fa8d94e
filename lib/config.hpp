#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "ini.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The configuration of one app: CONFIG_DIR/APP.conf, then CONFIG_DIR/APP.conf.d/*.conf in the order of their
// names. Strict: whatever is not understood is an error with file and line (Outcome::bad_config). A later
// file replaces what a key of an earlier one says; a key that repeats is added to; a key with an empty value
// takes back what the earlier files say, and the kind of a check with an empty value takes back the whole
// check.
namespace safe_deploy {

struct Setting {
  std::string key;
  std::string value;
  Place place;
};

// A [check NAME] section. Its kind is the one key that names a kind of check (checks/kinds.hpp); the settings
// that belong to the kind are kept as written, since only the kind itself can read them.
struct CheckSection {
  std::string name;
  std::string kind;
  Place place;
  std::vector<Setting>
      settings; // the kind's own, the kind's key first; repeatable keys stand as often as given
  bool preflight = false, health = false, watch = false, monitor = false; // when =
  bool warning_only = false;                                              // level = warning
  bool required = false; // a check that cannot be made is a no
  std::optional<unsigned> attempts;
  std::optional<Duration> interval;
  std::optional<Duration> timeout;
  std::string description;
};

struct Config {
  std::string app;
  std::string file; // APP.conf, for messages about what is missing
  std::string unit;
  std::string link;     // absolute; empty if not set
  std::string releases; // absolute; empty if not set
  std::string pattern = "*";
  std::vector<std::string> require;
  std::uint64_t keep = 5; // good releases; keep_all (quantity.hpp): no release is ever removed

  std::string listen; // [port] listen as written; empty if not set
  Duration free_timeout = std::chrono::seconds(30);

  Duration health_timeout = std::chrono::seconds(60);
  unsigned health_attempts = 0; // 0: as many as fit into the timeout
  Duration health_interval = std::chrono::seconds(1);

  Duration watch_duration{}; // of the probation; zero: good as soon as healthy

  double disk_used_max = 80;
  std::uint64_t memory_available_min = 500ULL << 20U;

  std::vector<CheckSection> checks;

  // Outcome::bad_config with the file's name if [app] link or releases is not set.
  [[nodiscard]] Result<void> needs_releases() const;
};

// Understands the files of one app, the first of which is APP.conf.
Result<Config> parse_config(const std::string& app, std::span<const IniFile> files);

// Reads and checks the configuration of `name`: of the app NAME, or, if there is no NAME.conf, of the one app
// whose unit is NAME.service. So a unit file can call the tools with %N whatever the app is called. Errors:
// usage (not an app's name), bad_config (what and where), os_error (cannot be read).
Result<Config> load_config(const std::string& config_dir, std::string_view name);

// The names of the apps that have a configuration, sorted. None if the directory is missing.
Result<std::vector<std::string>> list_apps(const std::string& config_dir);

// A key that is understood: "[app]", "pattern", default "*". For the check that the manual page says the
// same.
struct KnownKey {
  std::string section; // "app", "check" for what every check takes, "check http" for what a kind takes
  std::string key;
  std::string otherwise; // the default as it would be written; empty where there is none
  bool repeats = false;
};
std::vector<KnownKey> known_keys();

} // namespace safe_deploy
