#include "checks/memory_check.hpp"

#include "file.hpp"
#include "quantity.hpp"

#include <fcntl.h>
#include <fmt/format.h>

namespace safe_deploy {

std::optional<std::uint64_t> memory_available(std::string_view meminfo) {
  constexpr std::string_view key = "MemAvailable:";
  const std::size_t at = meminfo.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view value = meminfo.substr(at + key.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  const auto kilobytes = parse_count(value.substr(0, value.find(' ')), 0, UINT64_MAX >> 10U);
  if (!kilobytes) return std::nullopt;
  return *kilobytes << 10U;
}

Answer MemoryCheck::ask(const Deadline&) {
  const std::string file = "/proc/meminfo";
  const auto text = read_file_at(AT_FDCWD, file, file, 64UL * 1024);
  const auto available = text ? memory_available(*text) : std::nullopt;
  if (!available)
    return {.verdict = Verdict::skipped,
            .reason = "unreadable",
            .sentence = text ? file + " does not tell" : text.error().text()};
  const bool low = *available < least_;
  return {.verdict = low ? Verdict::no : Verdict::yes,
          .reason = low ? "low" : "ok",
          .sentence =
              fmt::format("{} available, at least {} wanted", format_size(*available), format_size(least_)),
          .figures = {{"memory-available", static_cast<double>(*available), "B"}}};
}

Result<std::shared_ptr<Check>> make_memory_check(const Values& values) {
  auto least = values.parsed("memory", parse_size, std::uint64_t{0});
  if (!least) return forward_error(least);
  return std::make_shared<MemoryCheck>(*least);
}

} // namespace safe_deploy
