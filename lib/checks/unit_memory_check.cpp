#include "checks/unit_memory_check.hpp"

#include "file.hpp"
#include "process.hpp"
#include "quantity.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

// Outcome::no where the process is gone.
Result<std::uint64_t> memory_of_process(pid_t pid) {
  const std::string file = fmt::format("/proc/{}/smaps_rollup", pid);
  const auto text = read_file_at(AT_FDCWD, file, file, 64UL * 1024);
  if (!text) {
    // ESRCH: it has ended, and is only waited for by its parent.
    const bool gone = text.error().code == std::errc::no_such_file_or_directory ||
                      text.error().code == std::errc::no_such_process;
    return gone ? fail(Outcome::no, file, "is gone") : tl::unexpected<Error>(text.error());
  }
  const auto bytes = proportional_set_size(*text);
  return bytes ? Result<std::uint64_t>(*bytes) : fail(Outcome::no, file, "does not tell");
}

Result<UnitMemoryCheck::Measured> sum_of_processes(const UnitState& unit, const Deadline& deadline) {
  const auto not_measured = [&](const std::string& why) {
    return fail(Outcome::no, unit.name, fmt::format("systemd does not measure its memory here, and {}", why));
  };
  auto cgroups = Cgroups::open();
  if (!cgroups) return not_measured(cgroups.error().text());
  UnitMemoryCheck::Measured sum{.by_kernel = false};
  bool any = false;
  for (const pid_t pid : cgroups->processes_below(unit.control_group)) {
    if (deadline.has_passed())
      return fail(
          Outcome::timed_out, unit.name,
          fmt::format("its processes were not measured within {}", format_duration(deadline.given())));
    const auto bytes = memory_of_process(pid);
    if (!bytes && bytes.error().outcome() == Outcome::no) continue;
    if (!bytes && bytes.error().code == std::errc::permission_denied)
      return not_measured(
          bytes.error().text() +
          " (it takes CAP_SYS_PTRACE to look at it, which a deploy's own unit does not have)");
    if (!bytes) return not_measured(bytes.error().text());
    sum.bytes += *bytes;
    any = true;
  }
  if (!any) return not_measured("it has no process that can be seen");
  return sum;
}

std::string source_of(const UnitMemoryCheck::Measured& measured) {
  return measured.by_kernel ? "" : " (the sum of its processes' PSS)";
}

} // namespace

std::optional<std::uint64_t> proportional_set_size(std::string_view smaps_rollup) {
  constexpr std::string_view key = "\nPss:";
  const std::size_t at = smaps_rollup.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view value = smaps_rollup.substr(at + key.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  const auto kilobytes = parse_count(value.substr(0, value.find(' ')), 0, UINT64_MAX >> 10U);
  if (!kilobytes) return std::nullopt;
  return *kilobytes << 10U;
}

Result<UnitMemoryCheck::Measured> measure_memory(const UnitState& unit, const Deadline& deadline) {
  if (unit.memory_current != UINT64_MAX) return UnitMemoryCheck::Measured{unit.memory_current};
  return sum_of_processes(unit, deadline);
}

Answer UnitMemoryCheck::judge(const std::string& unit, const UnitMemoryLimits& limits, const Measured& now,
                              const std::optional<Measured>& first, Duration ago) {
  const std::uint64_t growth = first ? now.bytes - std::min(first->bytes, now.bytes) : 0;
  const bool high = limits.max && now.bytes > *limits.max;
  const bool grown = limits.growth_max && growth > *limits.growth_max;
  std::string sentence = fmt::format("{} has {} of memory{}", unit, format_size(now.bytes), source_of(now));
  if (limits.max) sentence += fmt::format(", at most {} allowed", format_size(*limits.max));
  if (limits.growth_max && !first)
    sentence += "; how much it grows is not known yet: there is no earlier measure to compare with";
  else if (limits.growth_max)
    sentence += fmt::format("; {} more than {} ago, at most {} more allowed", format_size(growth),
                            format_duration(ago), format_size(*limits.growth_max));
  Answer answer = Answer::yes(sentence);
  if (high || grown)
    answer = Answer::no(high ? "high" : "growth", std::move(sentence));
  else if (!first && !limits.max)
    answer = Answer::skipped("no-earlier", std::move(sentence));
  answer.figures = {{"unit-memory", static_cast<double>(now.bytes), "B"}};
  if (first) answer.figures.push_back({"unit-memory-growth", static_cast<double>(growth), "B"});
  return answer;
}

Answer UnitMemoryCheck::ask(const Deadline& deadline) {
  const auto unit = units_->state(unit_, deadline);
  if (!unit) return Answer::skipped("systemd", unit.error().text());
  if (unit->load_state != "loaded")
    return Answer::no("not-loaded", fmt::format("{}: systemd says {}", unit_, unit->load_state));
  if (unit->active_state == "inactive" || unit->active_state == "failed")
    return Answer::skipped("inactive",
                           fmt::format("{} is {} ({})", unit_, unit->active_state, unit->sub_state));
  const auto now = measure_memory(*unit, deadline);
  if (!now && now.error().outcome() == Outcome::timed_out) return Answer::no("timeout", now.error().text());
  if (!now) return Answer::skipped("not-measured", now.error().text());
  const bool compared = first_ && invocation_ == unit->invocation_id;
  if (!compared) {
    first_ = *now;
    first_at_ = Clock::now();
    invocation_ = unit->invocation_id;
  }
  return judge(unit_, limits_, *now, compared ? first_ : std::nullopt,
               std::chrono::duration_cast<Duration>(Clock::now() - first_at_));
}

Result<std::shared_ptr<Check>> make_unit_memory_check(const Values& values) {
  auto unit = values.text("unit-memory");
  if (!unit) return forward_error(unit);
  UnitMemoryLimits limits;
  for (auto [key, limit] : {std::pair{"max", &limits.max}, {"growth-max", &limits.growth_max}}) {
    if (!values.has(key)) continue;
    auto size = values.parsed(key, parse_size, std::uint64_t{0});
    if (!size) return forward_error(size);
    *limit = *size;
  }
  if (!limits.max && !limits.growth_max)
    return values.wrong("unit-memory", {"", "has no limit: max or growth-max is needed", Outcome::usage});
  return std::make_shared<UnitMemoryCheck>(service_name(*unit), limits, values.units());
}

} // namespace safe_deploy
