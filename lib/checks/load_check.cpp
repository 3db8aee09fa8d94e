#include "checks/load_check.hpp"

#include "checks/word_list.hpp"
#include "file.hpp"
#include "quantity.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace safe_deploy {

std::optional<double> load_average(std::string_view loadavg, std::size_t average) {
  // "0.20 0.18 0.12 1/80 11206": each of the three is followed by something.
  for (;; --average) {
    const std::size_t end = loadavg.find(' ');
    if (end == std::string_view::npos) return std::nullopt;
    const auto value = parse_decimal(loadavg.substr(0, end));
    if (!value) return std::nullopt;
    if (average == 0) return *value;
    loadavg.remove_prefix(end + 1);
  }
}

Answer LoadCheck::ask(const Deadline&) {
  const auto text = read_file_at(AT_FDCWD, file_, file_, 4096);
  if (!text) return Answer::skipped("unreadable", text.error().text());
  const auto load = load_average(*text, average_);
  if (!load) return Answer::skipped("unreadable", file_ + " does not tell");
  const auto cpus = std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L);
  const double per_cpu = *load / static_cast<double>(cpus);
  const bool high = per_cpu > most_;
  const std::string sentence = fmt::format(
      "load {} in the last {}, {} for each of {} CPU{}, at most {} allowed", format_number(*load),
      load_averages[average_], format_number(per_cpu), cpus, cpus == 1 ? "" : "s", format_number(most_));
  Answer answer = high ? Answer::no("load", sentence) : Answer::yes(sentence);
  answer.figures = {{"load", *load, ""}, {"load-per-cpu", per_cpu, ""}};
  return answer;
}

Result<std::shared_ptr<Check>> make_load_check(const Values& values) {
  auto most = values.parsed("load", parse_decimal, 0.0);
  if (!most) return forward_error(most);
  auto average = values.parsed("average", one_of(load_averages), std::size_t{0});
  if (!average) return forward_error(average);
  return std::make_shared<LoadCheck>(*most, *average);
}

} // namespace safe_deploy
