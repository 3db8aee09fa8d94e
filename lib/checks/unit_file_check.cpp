#include "checks/unit_file_check.hpp"

#include "name.hpp"
#include "process.hpp"
#include "quantity.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

namespace safe_deploy {

namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool holds(std::string_view line, const std::string& text) {
  return line.find(text) != std::string_view::npos;
}

} // namespace

UnitFileCheck::UnitFileCheck(std::string unit, std::string link, const std::string& program)
    : unit_(std::move(unit)),
      link_(std::move(link)),
      program_({program, "verify", "--man=no", "--recursive-errors=no", unit_},
               // Under systemd it would write to the journal, and not to us.
               {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                "SYSTEMD_LOG_TARGET=console", "SYSTEMD_COLORS=0"}) {}

Answer UnitFileCheck::ask(const Deadline& deadline) {
  const auto skipped = [this](std::string_view why) {
    return Answer::skipped("systemd-analyze", fmt::format("{}{}", program_.path(), why));
  };
  const auto run = program_.run(deadline);
  if (!run) return Answer::skipped("systemd-analyze", run.error().text());
  switch (run->end) {
    case ProgramRun::End::ended:
      return judge(run->value, run->err + run->out);
    case ProgramRun::End::not_started:
      return skipped(fmt::format(": cannot be run: {}", std::strerror(run->value)));
    case ProgramRun::End::lost:
      return skipped(" was killed");
    case ProgramRun::End::late:
    case ProgramRun::End::still_there:
      break;
  }
  return skipped(fmt::format(" did not end within {}", format_duration(deadline.given())));
}

Answer UnitFileCheck::judge(int wait_status, const std::string& output) const {
  if (wait_status == 0) return Answer::yes(fmt::format("systemd-analyze finds nothing wrong with {}", unit_));
  auto lines = lines_of(output);
  if (!WIFEXITED(wait_status) || lines.empty())
    return Answer::skipped("systemd-analyze", fmt::format("{} {} without a word", program_.path(),
                                                          describe_wait_status(wait_status)));
  // Before the first deploy nothing is where ExecStart= leads through the link.
  const bool no_release = !link_.empty() && access(link_.c_str(), F_OK) < 0;
  const auto about_link = [&](std::string_view line) { return no_release && holds(line, link_ + "/"); };
  const bool only_link = std::all_of(lines.begin(), lines.end(), [&](std::string_view line) {
    return about_link(line) || !holds(line, unit_);
  });
  if (only_link && std::any_of(lines.begin(), lines.end(), about_link))
    return Answer::skipped("no-release", fmt::format("{}: {} leads to no release yet", unit_, link_));
  std::erase_if(lines, about_link);
  // It tells of the units that this one needs, too.
  const auto own =
      std::find_if(lines.begin(), lines.end(), [&](std::string_view line) { return holds(line, unit_); });
  return Answer::no("verify", printable(own != lines.end() ? *own : lines.front()));
}

} // namespace safe_deploy
