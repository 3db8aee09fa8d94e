#include "checks/standard.hpp"

#include "checks/disk_check.hpp"
#include "checks/expand.hpp"
#include "checks/health_now_check.hpp"
#include "checks/memory_check.hpp"
#include "checks/port_check.hpp"
#include "checks/releases_check.hpp"
#include "checks/restarts_check.hpp"
#include "checks/unit_check.hpp"

#include <fmt/format.h>

#include <array>

namespace safe_deploy {

namespace {

// Stands for a check that cannot be made.
class SkippedCheck final : public Check {
 public:
  SkippedCheck(std::string reason, std::string sentence)
      : reason_(std::move(reason)), sentence_(std::move(sentence)) {}
  Answer ask(const Deadline&) override {
    return {.verdict = Verdict::skipped, .reason = reason_, .sentence = sentence_, .final = true};
  }
  [[nodiscard]] bool instant() const override { return true; }

 private:
  std::string reason_;
  std::string sentence_;
};

bool is_asked(const CheckSection& section, When when) {
  switch (when) {
    case When::preflight:
      return section.preflight;
    case When::health:
      return section.health;
    case When::watch:
      return section.watch;
    case When::monitor:
      return section.monitor;
  }
  return false;
}

std::shared_ptr<Check> not_set(const char* what) {
  return std::make_shared<SkippedCheck>("not-set", fmt::format("{} is not set", what));
}

Result<std::optional<Target>> own_port(const Config& config) {
  if (config.listen.empty()) return std::optional<Target>();
  auto target = parse_target(config.listen);
  if (!target) return fail(Outcome::bad_config, config.file, "[port] listen: " + target.error().text());
  return std::optional<Target>(std::move(*target));
}

} // namespace

Result<When> parse_when(std::string_view text) {
  constexpr std::array<std::string_view, 4> names{"preflight", "health", "watch", "monitor"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == text) return static_cast<When>(i);
  return fail(Outcome::usage, fmt::format("'{}'", text), "is none of preflight, health, watch and monitor");
}

Result<std::vector<NamedCheck>> configured_checks(const Config& config, When when,
                                                  const CheckContext& context) {
  std::vector<NamedCheck> checks;
  for (const auto& section : config.checks) {
    if (!is_asked(section, when)) continue;
    auto check = make_check(section, context);
    if (!check && check.error().outcome() == Outcome::no)
      check = std::make_shared<SkippedCheck>("no-value", check.error().text());
    if (!check) return forward_error(check);
    Asked asked{.name = section.name, .check = *check};
    asked.attempt_timeout = section.timeout.value_or(asked.attempt_timeout);
    asked.attempts = section.attempts.value_or(asked.attempts);
    asked.interval = section.interval.value_or(asked.interval);
    asked.warning_only = section.warning_only;
    asked.gate = (*check)->gate();
    const std::string description = section.description.empty()
                                        ? fmt::format("{} = {}", section.kind, section.settings.front().value)
                                        : section.description;
    // For people: where a value is not known, what is written is shown.
    checks.push_back({std::move(asked), expand(description, context).value_or(description)});
  }
  return checks;
}

Result<std::vector<NamedCheck>> health_checks(const Config& config, CheckContext context) {
  auto target = own_port(config);
  if (!target) return forward_error(target);
  context.identity = std::make_shared<const Identity>(config.unit, *target);
  auto checks = configured_checks(config, When::health, context);
  if (checks && *target)
    checks->insert(checks->begin(),
                   {{.name = "port", .check = make_own_listener_check(**target, config.unit)},
                    fmt::format("{} listens on {}", config.unit, config.listen)});
  return checks;
}

Result<std::vector<NamedCheck>> standard_checks(const Config& config, const Places& places,
                                                const CheckContext& context) {
  const auto units = context.units ? context.units : std::make_shared<Units>();
  auto target = own_port(config);
  if (!target) return forward_error(target);
  auto health = health_checks(config, context);
  if (!health) return health;
  std::vector<Asked> asked_for_health;
  for (auto& check : *health) asked_for_health.push_back(std::move(check.asked));

  std::vector<NamedCheck> checks;
  const auto add = [&checks](const char* name, std::shared_ptr<Check> check, std::string description) {
    checks.push_back({{.name = name, .check = std::move(check)}, std::move(description)});
  };
  add("unit", std::make_shared<UnitCheck>(config.unit, false, units),
      fmt::format("{} is known to systemd and has not failed", config.unit));
  add("restarts", std::make_shared<RestartsCheck>(config.unit, units),
      fmt::format("systemd would start {} once more", config.unit));
  add("port",
      *target ? make_port_check({.target = **target, .free = true, .spare_unit = config.unit},
                                std::make_shared<Sockets>())
              : not_set("[port] listen"),
      fmt::format("{} is free, or held by {}", *target ? port_label(**target) : "the app's port",
                  config.unit));
  add("disk",
      config.releases.empty() ? not_set("[app] releases")
                              : std::make_shared<DiskCheck>(config.releases, config.disk_used_max),
      "the file system of the releases has room");
  add("memory", std::make_shared<MemoryCheck>(config.memory_available_min), "there is memory to be had");
  add("health", std::make_shared<HealthNowCheck>(config.unit, std::move(asked_for_health), units),
      "what runs now is healthy");
  // A fix must be deployable onto a sick service. Each of the checks within has its own time.
  checks.back().asked.warning_only = true;
  checks.back().asked.attempt_timeout = without_limit;
  add("releases", std::make_shared<ReleasesCheck>(config, places), "there is a release to deploy");
  return checks;
}

} // namespace safe_deploy
