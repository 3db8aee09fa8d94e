#include "config_keys.hpp"

#include "checks/expand.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

std::string sentence(const Error& error) {
  return fmt::format("{} {}", error.subject, error.problem);
}

template <class From, class To>
std::string store(Result<From> parsed, To& to) {
  if (!parsed) return sentence(parsed.error());
  to = static_cast<To>(*std::move(parsed));
  return "";
}

// As for the options of the tools: 0 is without limit.
std::string store_timeout(std::string_view value, Duration& to) {
  std::string problem = store(parse_duration(value), to);
  if (problem.empty() && to == Duration::zero()) to = without_limit;
  return problem;
}

// A release that is never called good could never be gone back to.
std::string store_probation(std::string_view value, Duration& to) {
  std::string problem = store(parse_duration(value), to);
  return problem.empty() && to == without_limit ? fmt::format("'{}': a probation must end", value) : problem;
}

std::string store_interval(std::string_view value, Duration& to) {
  return store(parse_limited_duration(value), to);
}

template <class To>
std::string store_attempts(std::string_view value, To& to) {
  return store(parse_count(value, 1, 1'000'000), to);
}

std::vector<std::string_view> components_of(std::string_view path) {
  std::vector<std::string_view> components;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) components.push_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return components;
}

// "." and ".." have no place in a path that is compared and watched: with symlinks they do not mean what they
// seem to.
bool has_dots(const std::vector<std::string_view>& components) {
  return std::any_of(components.begin(), components.end(),
                     [](std::string_view part) { return part == "." || part == ".."; });
}

// An absolute path without doubled or trailing slashes.
std::string store_path(std::string_view value, std::string& to) {
  std::string problem = judge::absolute_path(value);
  if (!problem.empty()) return problem;
  if (value.find(" #") != std::string_view::npos) return "a comment begins with ';', and not with '#'";
  const auto components = components_of(value);
  if (has_dots(components)) return fmt::format("'{}' must not contain . or ..", value);
  std::string path;
  for (const auto component : components) path.append("/").append(component);
  if (path.empty()) return "'/' is no place for it";
  if (path.size() > 4000) return "the path is too long"; // PATH_MAX, and room for a name
  to = path;
  return "";
}

std::string store_unit(std::string_view value, std::string& to) {
  auto unit = parse_unit_name(value);
  if (!unit) return sentence(unit.error());
  constexpr std::string_view suffix = ".service";
  if (value.size() < suffix.size() || value.substr(value.size() - suffix.size()) != suffix)
    return fmt::format("'{}' is not a service (its name ends in .service)", value);
  to = *std::move(unit);
  return "";
}

std::string store_pattern(std::string_view value, std::string& to) {
  if (value.find('/') != std::string_view::npos)
    return fmt::format("'{}' holds a '/', and is matched against names of directories only", value);
  to = value;
  return "";
}

std::string store_require(std::string_view value, std::vector<std::string>& to) {
  const auto entries = split_list(value);
  for (const auto& entry : entries) {
    if (entry.empty()) return "an entry of the list is empty";
    if (entry.front() == '/' || has_dots(components_of(entry)))
      return fmt::format("'{}' is not a path within a release", entry);
  }
  to.assign(entries.begin(), entries.end());
  return "";
}

std::string store_percent(std::string_view value, double& to) {
  std::string problem = store(parse_percent(value), to);
  return problem.empty() && to <= 0 ? "'0%' is never met" : problem;
}

std::string store_listen(std::string_view value, std::string& to) {
  std::string problem = judge::target(value);
  if (problem.empty()) to = value;
  return problem;
}

std::string store_level(std::string_view value, bool& warning_only) {
  if (value != "critical" && value != "warning")
    return fmt::format("'{}' is neither critical nor warning", value);
  warning_only = value == "warning";
  return "";
}

std::string store_when(std::string_view value, CheckSection& check) {
  for (const auto& phase : split_list(value)) {
    if (phase == "preflight")
      check.preflight = true;
    else if (phase == "health")
      check.health = true;
    else if (phase == "watch")
      check.watch = true;
    else if (phase == "monitor")
      check.monitor = true;
    else
      return fmt::format("'{}' is none of preflight, health, watch, monitor", phase);
  }
  return "";
}

using Text = std::string_view;

constexpr std::array app_keys{
    Key<Config>{"unit", "APP.service", [](Config& to, Text value) { return store_unit(value, to.unit); }},
    Key<Config>{"link", "", [](Config& to, Text value) { return store_path(value, to.link); }},
    Key<Config>{"releases", "", [](Config& to, Text value) { return store_path(value, to.releases); }},
    Key<Config>{"pattern", "*", [](Config& to, Text value) { return store_pattern(value, to.pattern); }},
    Key<Config>{"keep", "5", [](Config& to, Text value) { return store(parse_keep(value), to.keep); }},
    Key<Config>{"require", "", [](Config& to, Text value) { return store_require(value, to.require); }},
};

constexpr std::array port_keys{
    Key<Config>{"listen", "", [](Config& to, Text value) { return store_listen(value, to.listen); }},
    Key<Config>{"free-timeout", "30s",
                [](Config& to, Text value) { return store_timeout(value, to.free_timeout); }},
};

constexpr std::array health_keys{
    Key<Config>{"timeout", "60s",
                [](Config& to, Text value) { return store_timeout(value, to.health_timeout); }},
    Key<Config>{"attempts", "",
                [](Config& to, Text value) { return store_attempts(value, to.health_attempts); }},
    Key<Config>{"interval", "1s",
                [](Config& to, Text value) { return store_interval(value, to.health_interval); }},
};

constexpr std::array watch_keys{
    Key<Config>{"duration", "0",
                [](Config& to, Text value) { return store_probation(value, to.watch_duration); }},
};

constexpr std::array preflight_keys{
    Key<Config>{"disk-used-max", "80%",
                [](Config& to, Text value) { return store_percent(value, to.disk_used_max); }},
    Key<Config>{"memory-available-min", "500M",
                [](Config& to, Text value) { return store(parse_size(value), to.memory_available_min); }},
};

// What every check takes, whatever its kind.
constexpr std::array common_keys{
    Key<CheckSection>{"when", "preflight",
                      [](CheckSection& to, Text value) { return store_when(value, to); }},
    Key<CheckSection>{"level", "critical",
                      [](CheckSection& to, Text value) { return store_level(value, to.warning_only); }},
    Key<CheckSection>{"required", "no",
                      [](CheckSection& to, Text value) { return store(parse_boolean(value), to.required); }},
    Key<CheckSection>{
        "attempts", "1",
        [](CheckSection& to, Text value) { return store_attempts(value, to.attempts.emplace()); }},
    Key<CheckSection>{
        "interval", "1s",
        [](CheckSection& to, Text value) { return store_interval(value, to.interval.emplace()); }},
    Key<CheckSection>{
        "timeout", "5s",
        [](CheckSection& to, Text value) { return store_timeout(value, to.timeout.emplace()); }},
    Key<CheckSection>{"description", "",
                      [](CheckSection& to, Text value) {
                        to.description = value;
                        return judge_placeholders(value);
                      }},
};

constexpr std::array sections{
    PlainSection{"app", app_keys},
    PlainSection{"port", port_keys},
    PlainSection{"health", health_keys},
    PlainSection{"watch", watch_keys},
    PlainSection{"preflight", preflight_keys},
};

} // namespace

std::span<const PlainSection> plain_sections() {
  return sections;
}

std::span<const Key<CheckSection>> check_keys() {
  return common_keys;
}

std::vector<KnownKey> known_keys() {
  std::vector<KnownKey> known;
  const auto add = [&](const std::string& section, const auto& keys) {
    for (const auto& key : keys)
      known.push_back({section, std::string(key.name), std::string(key.otherwise), false});
  };
  for (const auto& section : sections) add(std::string(section.name), section.keys);
  add("check", common_keys);
  for (const auto& kind : check_kinds())
    for (const auto& key : kind.keys)
      known.push_back({fmt::format("check {}", kind.name), std::string(key.name), std::string(key.otherwise),
                       key.repeats});
  return known;
}

} // namespace safe_deploy
