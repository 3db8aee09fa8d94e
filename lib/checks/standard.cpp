#include "checks/standard.hpp"

#include "checks/asked_apart.hpp"
#include "checks/disk_check.hpp"
#include "checks/expand.hpp"
#include "checks/health_now_check.hpp"
#include "checks/memory_check.hpp"
#include "checks/port_check.hpp"
#include "checks/releases_check.hpp"
#include "checks/restarts_check.hpp"
#include "checks/rollback_check.hpp"
#include "checks/start_timeout_check.hpp"
#include "checks/unit_check.hpp"
#include "checks/unit_file_check.hpp"

#include <fmt/format.h>

#include <array>

namespace safe_deploy {

namespace {

// Stands for a check that cannot be made. `by_rights`: there is nothing to ask, rather than that something is
// amiss here.
class SkippedCheck final : public Check {
 public:
  SkippedCheck(std::string reason, std::string sentence, bool by_rights = true)
      : reason_(std::move(reason)), sentence_(std::move(sentence)), by_rights_(by_rights) {}
  Answer ask(const Deadline&) override {
    return {.verdict = Verdict::skipped, .reason = reason_, .sentence = sentence_, .final = by_rights_};
  }
  [[nodiscard]] bool instant() const override { return true; }

 private:
  std::string reason_;
  std::string sentence_;
  bool by_rights_;
};

// Several gates before one check; the first objection counts.
class Gates final : public Check {
 public:
  explicit Gates(std::vector<std::shared_ptr<Check>> gates) : gates_(std::move(gates)) {
    std::erase(gates_, nullptr);
  }
  Answer ask(const Deadline& deadline) override {
    Answer answer = Answer::yes("");
    for (const auto& gate : gates_)
      if (answer = gate->ask(deadline); !answer.good()) break;
    return answer;
  }
  [[nodiscard]] bool instant() const override { return true; }

 private:
  std::vector<std::shared_ptr<Check>> gates_;
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

constexpr Explanation unit_why{
    "A unit that has failed, is masked or is not known to systemd cannot be restarted, and the deploy would "
    "end with nothing running.",
    "See 'systemctl status UNIT'. When the cause is gone: 'systemctl reset-failed UNIT', or 'systemctl "
    "daemon-reload' where its file has changed."};
constexpr const Explanation& restarts_why = restarts_explained;
constexpr Explanation port_why{
    "Where somebody else holds the app's port the new process cannot listen: it fails, or exits with 0 as if "
    "all were well.",
    "End the process that is named, or give the app another port. 'port-wait --free --app APP' waits for "
    "it."};
constexpr const Explanation& disk_why = disk_explained;
constexpr const Explanation& memory_why = memory_explained;
constexpr Explanation health_why{
    "Whether the service was sick before the deploy is good to know when it is sick after it. It refuses "
    "nothing, since a repaired release must be deployable onto a sick service.",
    "See 'preflight --when health --app APP' for each of its checks, and the service's log."};
constexpr Explanation releases_why{
    "A deploy needs a release that is complete, is not known to be bad, and is not what runs already.",
    "See 'release-mark --list --app APP'. Put a new release into the directory; 'release-mark --app APP "
    "clear RELEASE' forgets that one was bad."};
constexpr Explanation unit_file_why{
    "systemd passes over what it does not understand in a unit file: a misspelt limit, dependency or sandbox "
    "is none.",
    "See 'systemd-analyze verify UNIT'; after a change 'systemctl daemon-reload'."};
constexpr Explanation start_timeout_why{
    "systemd ends what is a part of a start and takes longer than TimeoutStartSec=: a release that is slow "
    "but well would fail, or a wait end before it could tell its reason.",
    "Set TimeoutStartSec= of the unit to more than [health] timeout and [port] free-timeout, or make these "
    "less."};
constexpr Explanation rollback_why{
    "Where the new release fails and there is no good one to go back to, the app is down until somebody "
    "repairs it.",
    "See 'release-mark --list --app APP'. Where what runs now is known to be good, 'release-mark --app APP "
    "good' says so."};

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
      check =
          std::make_shared<SkippedCheck>("no-value", check.error().text(), context.release_unknown.empty());
    if (!check) return forward_error(check);
    Asked asked{.name = section.name, .check = *check};
    asked.attempt_timeout = section.timeout.value_or(asked.attempt_timeout);
    asked.attempts = section.attempts.value_or(asked.attempts);
    asked.interval = section.interval.value_or(asked.interval);
    asked.warning_only = section.warning_only;
    asked.required = section.required;
    asked.gate = (*check)->gate();
    const std::string description = section.description.empty()
                                        ? fmt::format("{} = {}", section.kind, section.settings.front().value)
                                        : section.description;
    // For people: where a value is not known, what is written is shown.
    checks.push_back(
        {std::move(asked), expand(description, context).value_or(description), &explain_kind(section.kind)});
  }
  return checks;
}

Result<std::vector<NamedCheck>> running_checks(const Config& config, When when, CheckContext context) {
  auto target = own_port(config);
  if (!target) return forward_error(target);
  context.identity = std::make_shared<const Identity>(config.unit, *target);
  auto checks = configured_checks(config, when, context);
  if (!checks || !*target) return checks;
  const auto listens = make_own_listener_check(**target, config.unit);
  // What is asked before the app listens says nothing about it: a proxy's 502 is no attempt of the release.
  for (auto& check : *checks)
    if (listens->instant() && !check.asked.check->instant())
      check.asked.gate = std::make_shared<Gates>(
          std::vector{make_own_listener_check(**target, config.unit), check.asked.gate});
  checks->insert(checks->begin(), {{.name = "port", .check = listens},
                                   fmt::format("{} listens on {}", config.unit, config.listen),
                                   &listening_explained});
  return checks;
}

Result<std::vector<NamedCheck>> standard_checks(const Config& config, const Places& places,
                                                const CheckContext& context) {
  const auto units = context.units ? context.units : std::make_shared<Units>();
  auto target = own_port(config);
  if (!target) return forward_error(target);
  auto health = running_checks(config, When::health, context);
  if (!health) return health;
  std::vector<Asked> asked_for_health;
  for (auto& check : *health) asked_for_health.push_back(std::move(check.asked));

  std::vector<NamedCheck> checks;
  const auto add = [&checks](const Explanation& explained, const char* name, std::shared_ptr<Check> check,
                             std::string description) {
    checks.push_back({{.name = name, .check = std::move(check)}, std::move(description), &explained});
  };
  add(unit_why, "unit", std::make_shared<UnitCheck>(config.unit, false, units),
      fmt::format("{} is known to systemd and has not failed", config.unit));
  add(restarts_why, "restarts", std::make_shared<RestartsCheck>(config.unit, units),
      fmt::format("systemd would start {} once more", config.unit));
  add(port_why, "port",
      *target ? make_port_check({.target = **target, .free = true, .spare_unit = config.unit},
                                std::make_shared<Sockets>())
              : not_set("[port] listen"),
      fmt::format("{} is free, or held by {}", *target ? port_label(**target) : "the app's port",
                  config.unit));
  add(disk_why, "disk",
      config.releases.empty() ? not_set("[app] releases")
                              : std::make_shared<DiskCheck>(config.releases, config.disk_used_max),
      "the file system of the releases has room");
  add(memory_why, "memory", std::make_shared<MemoryCheck>(config.memory_available_min),
      "there is memory to be had");
  add(health_why, "health", std::make_shared<HealthNowCheck>(config.unit, std::move(asked_for_health), units),
      "what runs now is healthy");
  // A fix must be deployable onto a sick service. Each of the checks within has its own time.
  checks.back().asked.warning_only = true;
  checks.back().asked.attempt_timeout = without_limit;
  const auto apart = [&](std::shared_ptr<Check> check) {
    return std::make_shared<AskedApart>(std::move(check), config.releases);
  };
  add(releases_why, "releases", apart(std::make_shared<ReleasesCheck>(config, places)),
      "there is a release to deploy");
  const auto add_warning = [&](auto&&... check) {
    add(std::forward<decltype(check)>(check)...);
    checks.back().asked.warning_only = true;
  };
  add_warning(unit_file_why, "unit-file", std::make_shared<UnitFileCheck>(config.unit, config.link),
              fmt::format("systemd-analyze finds nothing wrong with {}", config.unit));
  add_warning(start_timeout_why, "start-timeout", std::make_shared<StartTimeoutCheck>(config, units),
              fmt::format("the health gate fits into TimeoutStartSec= of {}", config.unit));
  add_warning(rollback_why, "rollback", apart(std::make_shared<RollbackCheck>(config, places)),
              "there is a good release to go back to");
  return checks;
}

} // namespace safe_deploy
