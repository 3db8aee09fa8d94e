#include "preflight/formats.hpp"

#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "json.hpp"
#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace safe_deploy::preflight {

namespace {

constexpr std::array verdicts{Verdict::yes, Verdict::warning, Verdict::no, Verdict::skipped};

// In the table.
struct Look {
  std::string_view mark;   // what is not well stands out
  std::string_view colour; // ECMA-48, SGR
};

Look look_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::yes:
      return {"ok", "\x1b[32m"};
    case Verdict::warning:
      return {"WARN", "\x1b[33m"};
    case Verdict::skipped:
      return {"SKIP", "\x1b[2m"};
    case Verdict::no:
      break;
  }
  return {"FAIL", "\x1b[31m"};
}

const char* level(const NamedCheck& check) {
  return check.asked.warning_only ? "warning" : "critical";
}

std::size_t name_width(const std::vector<NamedCheck>& checks) {
  std::size_t width = 0;
  for (const auto& check : checks) width = std::max(width, check.asked.name.size());
  return width;
}

std::string replaced(std::string text, std::string_view what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

// The unit that a check is about: the one that it names, else the app's own.
std::string unit_of(const std::string& name, const Config& config) {
  const auto section = std::find_if(config.checks.begin(), config.checks.end(),
                                    [&](const CheckSection& one) { return one.name == name; });
  const Kind* kind = section != config.checks.end() ? find_check_kind(section->kind) : nullptr;
  if (kind == nullptr || kind->keys.front().judge != judge::unit) return config.unit;
  return replaced(section->settings.front().value, "${app}", config.app);
}

// As many digits as bring back the same number.
std::string exact(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  if (value == std::floor(value)) return format_number(value);
  return to_text(Json(value));
}

std::string reasons(const std::vector<const Asking*>& askings) {
  std::string text;
  for (const Asking* asking : askings)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", asking->name, asking->answer.sentence);
  return text;
}

Json to_json(const Asking& asking, const NamedCheck& check) {
  Json figures = Json::object();
  for (const auto& figure : asking.answer.figures) figures[figure.name] = figure.value;
  return {{"name", asking.name},
          {"verdict", word(asking.answer.verdict)},
          {"level", level(check)},
          {"reason", asking.answer.reason},
          {"message", asking.answer.sentence},
          {"took", std::chrono::duration<double>(asking.took).count()},
          {"figures", std::move(figures)}};
}

// Digits and a point only, without an exponent.
std::string plain(double value) {
  std::array<char, 400> text{}; // the largest double has 309 digits
  (void)std::snprintf(text.data(), text.size(), "%.9f", value);
  std::string digits = text.data();
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

// A '|' begins the figures, and a line's end the long text that few programs show.
std::string on_one_nagios_line(std::string text) {
  std::replace(text.begin(), text.end(), '|', '/');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// 'label'=value[unit], with quotes doubled; a label holds no '='.
std::string perfdata(const Asking& asking) {
  std::string text;
  for (const auto& figure : asking.answer.figures) {
    if (!std::isfinite(figure.value)) continue;
    std::string label;
    for (const char c : fmt::format("{}.{}", asking.name, figure.name)) {
      if (c == '\'') label += c;
      label += c == '=' || c == '|' ? '_' : c;
    }
    text += fmt::format(" '{}'={}{}", label, plain(figure.value), figure.unit);
  }
  return text;
}

// A label's value: backslash, quote and line's end are escaped.
std::string label_value(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '"';
}

void family(std::string& text, std::string_view name, std::string_view help) {
  text += fmt::format("# HELP safe_deploy_{} {}\n# TYPE safe_deploy_{} gauge\n", name, help, name);
}

} // namespace

std::vector<const Asking*> Report::with(Verdict verdict) const {
  std::vector<const Asking*> found;
  for (const auto& asking : answers)
    if (asking.answer.verdict == verdict) found.push_back(&asking);
  return found;
}

std::string table(const Report& report, bool coloured) {
  constexpr std::size_t whole_sentence = 4096;
  std::string text;
  for (const auto& asking : report.answers) {
    const Look look = look_of(asking.answer.verdict);
    text += fmt::format("{:<{}}  {}{:<4}{}  {}\n", asking.name, name_width(report.checks),
                        coloured ? look.colour : "", look.mark, coloured ? "\x1b[0m" : "",
                        printable(asking.answer.sentence, whole_sentence));
  }
  return text;
}

std::string json(const Report& report) {
  Json all = Json::array();
  for (std::size_t i = 0; i < report.answers.size(); ++i)
    all.push_back(to_json(report.answers[i], report.checks[i]));
  return to_text({{"ok", report.with(Verdict::no).empty()}, {"checks", std::move(all)}}) + "\n";
}

std::string nagios(const Report& report, int& code) {
  const auto failed = report.with(Verdict::no);
  const auto warned = report.with(Verdict::warning);
  const auto skipped = report.with(Verdict::skipped);
  const std::size_t asked = report.answers.size() - skipped.size();
  constexpr std::array<std::string_view, 4> states{"OK", "WARNING", "CRITICAL", "UNKNOWN"};
  code = !failed.empty() ? 2 : !warned.empty() ? 1 : asked > 0 ? 0 : 3;
  const auto& worst = code == 2 ? failed : code == 1 ? warned : skipped;
  std::string text =
      fmt::format("PREFLIGHT {} - {}: {} of {} checks ok", states[static_cast<std::size_t>(code)], report.app,
                  report.with(Verdict::yes).size(), report.answers.size());
  if (!skipped.empty()) text += fmt::format(", {} skipped", skipped.size());
  if (code != 0 && !worst.empty()) text += "; " + reasons(worst);
  text = on_one_nagios_line(std::move(text));
  std::string figures;
  for (const auto& asking : report.answers) figures += perfdata(asking);
  if (!figures.empty()) text += " |" + figures;
  return text;
}

std::string nagios_unknown(const std::string& why) {
  return on_one_nagios_line("PREFLIGHT UNKNOWN - " + why);
}

std::string prometheus(const Report& report) {
  // The same check may be asked at several moments, and all of them be collected at one place.
  const std::string app = fmt::format("app={},when={}", label_value(report.app), label_value(report.when));
  const auto labels = [&](std::size_t i) {
    return fmt::format("{},check={}", app, label_value(report.answers[i].name));
  };
  const std::size_t count = report.answers.size();
  std::string text;
  family(text, "preflight_ok", "Whether no critical check failed.");
  text += fmt::format("safe_deploy_preflight_ok{{{}}} {}\n", app, report.with(Verdict::no).empty() ? 1 : 0);
  family(text, "check_verdict", "1 for what the check said, 0 for what it did not.");
  for (std::size_t i = 0; i < count; ++i)
    for (const Verdict verdict : verdicts)
      text += fmt::format("safe_deploy_check_verdict{{{},level=\"{}\",verdict=\"{}\"}} {}\n", labels(i),
                          level(report.checks[i]), word(verdict),
                          report.answers[i].answer.verdict == verdict ? 1 : 0);
  family(text, "check_duration_seconds", "How long the check took to answer.");
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("safe_deploy_check_duration_seconds{{{}}} {}\n", labels(i),
                        exact(std::chrono::duration<double>(report.answers[i].took).count()));
  family(text, "check_figure", "What the check measured.");
  for (std::size_t i = 0; i < count; ++i)
    for (const auto& figure : report.answers[i].answer.figures)
      text += fmt::format("safe_deploy_check_figure{{{},figure={},unit={}}} {}\n", labels(i),
                          label_value(figure.name), label_value(figure.unit), exact(figure.value));
  return text;
}

std::string refusal(const Report& report) {
  return reasons(report.with(Verdict::no));
}

std::string list(const std::vector<NamedCheck>& checks, bool json) {
  if (json) {
    Json all = Json::array();
    for (const auto& check : checks)
      all.push_back(
          {{"name", check.asked.name}, {"level", level(check)}, {"description", check.description}});
    return to_text({{"checks", std::move(all)}}) + "\n";
  }
  std::string text;
  for (const auto& check : checks)
    text += fmt::format("{:<{}}  {:<8}  {}\n", check.asked.name, name_width(checks), level(check),
                        check.description);
  return text;
}

std::string explanation(const NamedCheck& check, const Config& config, bool json) {
  const Asked& asked = check.asked;
  const std::string why(check.explained->why);
  // The commands are those to be typed.
  std::string remedy = replaced(std::string(check.explained->remedy), "UNIT", unit_of(asked.name, config));
  remedy = replaced(std::move(remedy), "APP", config.app);
  if (json)
    return to_text({{"name", asked.name},
                    {"level", level(check)},
                    {"description", check.description},
                    {"why", why},
                    {"remedy", remedy}}) +
           "\n";
  const std::string timeout =
      asked.attempt_timeout == without_limit
          ? "each answer within its own time"
          : fmt::format("an answer within {}", format_duration(asked.attempt_timeout));
  const std::string attempts =
      asked.attempts == 1
          ? ""
          : fmt::format(", at most {} times, {} apart", asked.attempts, format_duration(asked.interval));
  return fmt::format("{}: {}\nlevel:    {}{}\nasked:    {}{}\nwhy:      {}\nif it fails: {}\n", asked.name,
                     check.description, level(check), asked.required ? ", also where it cannot be asked" : "",
                     timeout, attempts, why, remedy);
}

} // namespace safe_deploy::preflight
