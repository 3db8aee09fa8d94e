#include "checks/pressure_check.hpp"

#include "checks/word_list.hpp"
#include "file.hpp"
#include "quantity.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

constexpr std::size_t cpu = 0;
constexpr std::size_t full = 1;

// The next part of the text up to the sign, without it; the text is what follows.
std::string_view take_until(std::string_view& text, char sign) {
  const std::string_view part = text.substr(0, text.find(sign));
  text.remove_prefix(std::min(part.size() + 1, text.size()));
  return part;
}

} // namespace

// "some avg10=0.12 avg60=0.40 avg300=0.07 total=1243655792", and such a line with "full".
std::optional<double> pressure(std::string_view text, std::size_t share, std::size_t average) {
  constexpr std::array<std::string_view, 3> names{"avg10", "avg60", "avg300"};
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    if (take_until(line, ' ') != pressure_shares[share]) continue;
    while (!line.empty()) {
      std::string_view value = take_until(line, ' ');
      if (take_until(value, '=') != names[average]) continue;
      const auto percent = parse_decimal(value);
      if (!percent || *percent > 100) return std::nullopt;
      return *percent;
    }
  }
  return std::nullopt;
}

Answer PressureCheck::ask(const Deadline&) {
  const std::string file = fmt::format("{}/{}", directory_, pressure_resources[question_.resource]);
  const auto text = read_file_at(AT_FDCWD, file, file, 4096);
  if (!text) {
    // psi=0 on the kernel's command line: there is no such file, or reading it is "not supported".
    if (text.error().code == std::errc::no_such_file_or_directory ||
        text.error().code == std::errc::operation_not_supported)
      return Answer::skipped("unsupported",
                             file + ": this kernel tells no pressure (built without it, or psi=0)");
    return Answer::skipped("unreadable", text.error().text());
  }
  const auto percent = pressure(*text, question_.share, question_.average);
  if (!percent) return Answer::skipped("unreadable", file + " does not tell");
  const std::string sentence = fmt::format(
      "{}: {} had to wait for {}% of the last {}, at most {}% allowed",
      pressure_resources[question_.resource], question_.share == full ? "all tasks" : "some tasks",
      format_number(*percent), pressure_averages[question_.average], format_number(question_.max));
  Answer answer = *percent > question_.max ? Answer::no("pressure", sentence) : Answer::yes(sentence);
  answer.figures = {{"pressure", *percent, "%"}};
  return answer;
}

Result<std::shared_ptr<Check>> make_pressure_check(const Values& values) {
  auto resource = values.parsed("pressure", one_of(pressure_resources), std::size_t{0});
  if (!resource) return forward_error(resource);
  if (!values.has("max"))
    return values.wrong("pressure", Error{"", "needs max, such as max = 40%", Outcome::bad_config});
  auto max = values.parsed("max", parse_percent, 100.0);
  if (!max) return forward_error(max);
  auto average = values.parsed("average", one_of(pressure_averages), std::size_t{0});
  if (!average) return forward_error(average);
  auto share = values.parsed("share", one_of(pressure_shares), std::size_t{0});
  if (!share) return forward_error(share);
  if (*resource == cpu && *share == full)
    return values.wrong("share", Error{"", "full says nothing of cpu (the kernel always tells 0): use some",
                                       Outcome::bad_config});
  return std::make_shared<PressureCheck>(
      PressureQuestion{.resource = *resource, .max = *max, .average = *average, .share = *share});
}

} // namespace safe_deploy
