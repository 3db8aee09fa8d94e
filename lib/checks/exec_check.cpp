#include "checks/exec_check.hpp"

#include "name.hpp"
#include "process.hpp"
#include "quantity.hpp"
#include "text.hpp"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace safe_deploy {

namespace {

// --- what a program wrote

constexpr std::size_t most_text = 200;
constexpr std::size_t most_figures = 20;
constexpr std::size_t most_label = 60;
constexpr std::string_view parting = " \t\r\n";

// The text up to `end`, which is taken off together with it; all of it where there is none.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

std::string_view without_return(std::string_view line) {
  return line.substr(0, line.size() - (line.ends_with('\r') ? 1 : 0));
}

struct Said {
  std::string text;
  std::vector<Figure> figures;
};

// The first line that says something, up to its '|'.
Said read_output(std::string_view output) {
  while (!output.empty()) {
    std::string_view line = without_return(take_until(output, '\n'));
    if (trim(line).empty()) continue;
    const std::string_view text = trim(take_until(line, '|'));
    std::string data(line);
    // The lines that follow are a longer text, and behind another '|' more data.
    (void)take_until(output, '|');
    data.append("\n").append(output);
    return {printable(text, most_text), read_performance_data(data)};
  }
  return {};
}

Said read_run(const ProgramRun& run) {
  Said said = read_output(run.out);
  if (said.text.empty()) said.text = read_output(run.err).text;
  return said;
}

struct PluginUnit {
  std::string_view name;
  double factor;
  std::string_view unit; // as in Figure
};

constexpr double kilo = 1024;
constexpr std::array<PluginUnit, 14> units{{
    {"", 1, ""},
    {"s", 1, "s"},
    {"ms", 1e-3, "s"},
    {"us", 1e-6, "s"},
    {"%", 1, "%"},
    {"B", 1, "B"},
    {"KB", kilo, "B"},
    {"MB", kilo* kilo, "B"},
    {"GB", kilo* kilo* kilo, "B"},
    {"TB", kilo* kilo* kilo* kilo, "B"},
    {"KiB", kilo, "B"},
    {"MiB", kilo* kilo, "B"},
    {"GiB", kilo* kilo* kilo, "B"},
    {"c", 1, ""}, // a counter
}};

struct Measured {
  double value;
  std::string unit;
};

// "12.5ms"
std::optional<Measured> read_measured(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  const std::string_view digits = text.substr(0, static_cast<std::size_t>(end - copy.c_str()));
  const std::string_view name = text.substr(digits.size());
  // strtod(3) takes hexadecimal digits, "inf" and "nan", too.
  if (digits.empty() || digits.find_first_not_of("-+.0123456789eE") != std::string_view::npos ||
      !std::isfinite(value))
    return std::nullopt;
  const auto is_named = [&](const PluginUnit& unit) { return unit.name == name; };
  if (const auto* unit = std::find_if(units.begin(), units.end(), is_named); unit != units.end())
    return Measured{value * unit->factor, std::string(unit->unit)};
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name.size() > 8 || !std::all_of(name.begin(), name.end(), is_letter)) return std::nullopt;
  return Measured{value, std::string(name)};
}

// What stands before the '=', in quotes or without, taken off together with it. Nothing if there is no '='.
std::optional<std::string> take_label(std::string_view& text) {
  std::string label;
  std::size_t at = 0;
  if (text.front() == '\'') {
    for (at = 1; at < text.size(); ++at) {
      if (text[at] == '\'' && text.substr(at + 1, 1) != "'") break;
      if (text[at] == '\'') ++at; // '' is one '
      label += text[at];
    }
    ++at;
  } else {
    at = std::min(text.find_first_of("=' \t\r\n"), text.size());
    label = text.substr(0, at);
  }
  if (at >= text.size() || text[at] != '=' || label.empty()) return std::nullopt;
  text.remove_prefix(at + 1);
  return printable(label, most_label);
}

// --- what it is given

// What would let it speak to systemd in the name of the unit that asks: sd_notify(3), sd_listen_fds(3),
// sd_watchdog_enabled(3), and $MAINPID, which our own tools watch.
constexpr std::array<std::string_view, 7> withheld{
    "NOTIFY_SOCKET", "MAINPID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "FDSTORE"};

std::vector<std::string> make_environment(const CheckContext& context) {
  std::vector<std::string> variables;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view variable = *at;
    const std::string_view name = variable.substr(0, variable.find('='));
    if (std::find(withheld.begin(), withheld.end(), name) == withheld.end() &&
        !name.starts_with("WATCHDOG_") && name != "SAFE_DEPLOY_APP" && name != "SAFE_DEPLOY_RELEASE")
      variables.emplace_back(variable);
  }
  variables.push_back("SAFE_DEPLOY_APP=" + context.app);
  if (!context.release.empty()) variables.push_back("SAFE_DEPLOY_RELEASE=" + context.release);
  return variables;
}

std::string base_name(std::string_view path) {
  return printable(path.substr(path.rfind('/') + 1), 60);
}

} // namespace

std::vector<Figure> read_performance_data(std::string_view text) {
  std::vector<Figure> figures;
  while (figures.size() < most_figures) {
    text.remove_prefix(std::min(text.find_first_not_of(parting), text.size()));
    if (text.empty()) break;
    const auto label = take_label(text);
    const std::string_view item = text.substr(0, text.find_first_of(parting));
    text.remove_prefix(item.size());
    const auto measured = label ? read_measured(item.substr(0, item.find(';'))) : std::nullopt;
    const auto is_told = [&](const Figure& figure) { return figure.name == *label; };
    if (measured && std::none_of(figures.begin(), figures.end(), is_told))
      figures.push_back({*label, measured->value, measured->unit});
  }
  return figures;
}

ExecCheck::ExecCheck(std::vector<std::string> words, std::vector<std::string> environment)
    : program_(std::move(words), std::move(environment)), name_(base_name(program_.path())) {}

Answer ExecCheck::ask(const Deadline& deadline) {
  if (user() != nullptr && syscall(SYS_geteuid) != static_cast<long>(user()->uid))
    return Answer::skipped("permission", fmt::format("{}: not run, since only root may run it as {}", name_,
                                                     printable(user()->name)));
  const auto run = program_.run(deadline);
  if (!run) return Answer::skipped("system", fmt::format("{}: {}", name_, run.error().text()));
  return judge(*run, deadline);
}

Answer ExecCheck::judge(const ProgramRun& run, const Deadline& deadline) const {
  switch (run.end) {
    case ProgramRun::End::ended:
      return judge_ended(run);
    case ProgramRun::End::not_started:
      return judge_not_started(run);
    case ProgramRun::End::still_there:
      return Answer::no("timeout", fmt::format("{}: was killed at an earlier time limit, and has not ended "
                                               "within {}",
                                               name_, format_duration(deadline.given())));
    case ProgramRun::End::lost:
      return Answer::no("signal", fmt::format("{}: was killed together with what looked after it; what it "
                                              "started may go on running",
                                              name_));
    case ProgramRun::End::late:
      break;
  }
  const std::string text = read_run(run).text;
  return Answer::no("timeout",
                    fmt::format("{}: did not end within {}{}", name_, format_duration(deadline.given()),
                                text.empty() ? "" : fmt::format(" (it said: {})", text)));
}

Answer ExecCheck::judge_ended(const ProgramRun& run) const {
  constexpr std::array<std::string_view, 4> reasons{"ok", "warning", "critical", "unknown"};
  Said said = read_run(run);
  std::string what = said.text.empty() ? "said nothing" : std::move(said.text);
  Answer answer;
  answer.figures = std::move(said.figures);
  if (!WIFEXITED(run.value)) {
    answer.reason = "signal";
    answer.sentence = fmt::format("{}: {} ({})", name_, what, describe_wait_status(run.value));
    return answer;
  }
  const auto status = static_cast<std::size_t>(WEXITSTATUS(run.value));
  answer.verdict = status == 0 ? Verdict::yes : status == 1 ? Verdict::warning : Verdict::no;
  answer.reason = status < reasons.size() ? reasons[status] : "status";
  answer.sentence = fmt::format("{}: {}", name_, what);
  if (status != 0) answer.sentence += fmt::format(" (exit status {})", status);
  return answer;
}

Answer ExecCheck::judge_not_started(const ProgramRun& run) const {
  const std::string path = printable(program_.path());
  const char* why = std::strerror(run.value);
  switch (run.value) {
    case ENOENT:
      if (run.exists)
        return Answer::no(
            "not-executable",
            fmt::format("{}: the interpreter that {} begins with is not there ({})", name_, path, why));
      [[fallthrough]];
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return Answer::no("not-found", fmt::format("{}: cannot run {}: {}", name_, path, why));
    case EACCES:
    case EPERM:
    case ENOEXEC:
    case EISDIR:
    case EINVAL:
    case ETXTBSY:
    case ELIBBAD:
      return Answer::no("not-executable", fmt::format("{}: cannot run {}: {}", name_, path, why));
    default:
      return Answer::skipped("system", fmt::format("{}: cannot run {}: {}", name_, path, why));
  }
}

Result<std::shared_ptr<Check>> make_exec_check(const Values& values) {
  auto words = values.words("exec");
  if (!words) return forward_error(words);
  if (words->empty() || !words->front().starts_with('/'))
    return values.wrong("exec", {"", judge::command(""), make_error_code(Outcome::usage)});
  auto name = values.text("user");
  if (!name) return forward_error(name);
  auto check = std::make_shared<ExecCheck>(std::move(*words), make_environment(values.context()));
  if (name->empty()) return check;
  auto user = find_user(*name);
  if (!user) return values.wrong("user", user.error());
  check->ask_as(*std::move(user));
  return check;
}

} // namespace safe_deploy
