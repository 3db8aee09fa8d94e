#include "calendar.hpp"
#include "command.hpp"
#include "deploys.hpp"
#include "quantity.hpp"
#include "standing.hpp"
#include "table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

namespace safe_deploy::command {

namespace {

std::string mark_text(const std::optional<Mark>& mark) {
  return std::string(mark ? mark_name(*mark) : "-");
}

void print_table(const std::vector<Standing>& standings) {
  Table table({"APP", "PHASE", "CURRENT", "VERDICT", "UNIT", "SINCE", "LAST DEPLOY", "INCIDENTS"});
  for (const auto& standing : standings) {
    const auto& last = standing.state.last;
    // An error leaves no room for anything else.
    if (!standing.error.empty()) {
      table.add({standing.app, "error", "-", "-", "-", "-", printable(standing.error, 1000)});
      continue;
    }
    table.add({standing.app, std::string(phase_name(standing.state.phase)),
               standing.current.empty() ? "-" : printable(standing.current), mark_text(verdict_of(standing)),
               standing.unit_state,
               standing.state.since.at.empty() ? "-" : local_time(standing.state.since.at),
               last.release.empty() ? "-"
                                    : fmt::format("{}: {}", printable(last.release),
                                                  last.outcome.empty() ? "under way" : last.outcome),
               standing.incidents_hidden         ? "?"
               : standing.open_incidents.empty() ? "-"
                                                 : fmt::format("{}", standing.open_incidents.size())});
  }
  fmt::print("{}", table.text(terminal_columns()));
}

// "name: value", with what does not fit on further lines: nothing that tells why is left out.
class Sheet {
 public:
  explicit Sheet(std::size_t columns) : columns_(columns), indent_(columns < narrow ? 2 : name_width + 2) {}

  void row(std::string_view name, const std::string& value) const {
    if (value.empty()) return;
    const std::string_view colon = name.empty() ? " " : ":"; // it goes on from the row above
    const std::string head = columns_ < narrow ? fmt::format("{}{}", name, colon)
                                               : fmt::format("{:>{}}{}", name, name_width, colon);
    std::vector<std::string> lines{value};
    if (columns_ != no_limit) lines = wrap(value, columns_ > indent_ ? columns_ - indent_ : 1);
    if (columns_ < narrow)
      fmt::print("{}\n", head);
    else
      fmt::print("{} {}\n", head, lines.front());
    for (std::size_t i = columns_ < narrow ? 0 : 1; i < lines.size(); ++i)
      fmt::print("{:{}}{}\n", "", indent_, lines[i]);
  }

  // Below a row, as it is.
  void whole(const std::string& text) const { fmt::print("{:{}}{}\n", "", indent_ + 2, text); }

  void table(std::string_view name, const Table& table) const {
    std::string text = table.text(columns_, indent_);
    if (columns_ < narrow)
      fmt::print("{}:\n", name);
    else
      text.replace(0, name_width + 1, fmt::format("{:>{}}:", name, name_width));
    fmt::print("{}", text);
  }

 private:
  static constexpr std::size_t narrow = 40;
  static constexpr std::size_t name_width = 12;
  std::size_t columns_;
  std::size_t indent_;
};

std::string ago(const std::string& at) {
  const auto then = parse_recorded(at);
  const auto now = parse_recorded(Moment::now().at);
  if (!then || !now) return "";
  const double seconds = static_cast<double>(*now - *then) / 1000;
  return seconds < 0 ? "" : fmt::format(" ({} ago)", seconds_text(seconds));
}

std::string phase_text(const Standing& standing) {
  const Moment& since = standing.state.since;
  std::string text(phase_name(standing.state.phase));
  if (since.at.empty()) return text;
  text += " since " + local_time(since.at);
  return text + (standing.phase_seconds ? fmt::format(" ({} ago)", seconds_text(*standing.phase_seconds))
                                        : ago(since.at));
}

std::string unit_text(const Standing& standing) {
  std::string text = fmt::format("{}, {}", standing.unit, standing.unit_state);
  const auto& told = standing.unit_told;
  if (!told || told->active_state != "active" || told->inactive_exit == Clock::time_point()) return text;
  text += fmt::format(
      " for {}", seconds_text(std::chrono::duration<double>(Clock::now() - told->inactive_exit).count()));
  if (told->restarts > 0) text += fmt::format(", {} automatic restarts", told->restarts);
  return text;
}

std::string probation_text(const Standing& standing) {
  if (standing.state.phase != Phase::probation) return "";
  const std::string whole = format_duration(standing.config.watch_duration);
  if (!standing.probation_left) return fmt::format("{} from its beginning", whole);
  return fmt::format("{} left of {}", seconds_text(*standing.probation_left), whole);
}

void print_releases(const Standing& standing, const Sheet& sheet) {
  constexpr std::size_t most = 15; // without a role
  Table table;
  std::size_t plain = 0;
  for (const auto& [name, roles, record] : standing.releases) {
    const bool in_use = std::any_of(roles.begin(), roles.end(), [](const std::string& role) {
      return role != "gone" && role != "incomplete";
    });
    if (!in_use && ++plain > most) continue;
    table.add({printable(name), record ? std::string(mark_name(record->verdict)) : "-",
               fmt::format("{}", fmt::join(roles, ", ")),
               record ? fmt::format("since {}{}{}", local_time(record->at),
                                    record->reason.empty() ? "" : ": ", printable(record->reason, 1000))
                      : ""});
  }
  if (plain > most) table.add({fmt::format("... and {} more", plain - most)});
  if (standing.releases.empty()) return;
  sheet.table("releases", table);
}

// All of them in a line where all are well, else what is not.
void print_answers(const Standing& standing, const Sheet& sheet) {
  for (const auto& [when, answers] : standing.answers) {
    const auto is_well = [](const LastAnswer& answer) {
      return answer.verdict == "ok" || answer.verdict == "skipped";
    };
    const auto bad = std::count_if(answers.answers.begin(), answers.answers.end(),
                                   [&](const LastAnswer& answer) { return !is_well(answer); });
    std::string names;
    for (const auto& answer : answers.answers)
      names += fmt::format("{}{}{}", names.empty() ? "" : ", ", printable(answer.name, 60),
                           answer.verdict == "skipped" ? " (skipped)" : "");
    sheet.row(when, fmt::format("{}{}: {}", local_time(answers.at), ago(answers.at),
                                bad == 0 ? fmt::format("all is well: {}", names)
                                         : fmt::format("{} of {} not well", bad, answers.answers.size())));
    for (const auto& answer : answers.answers)
      if (!is_well(answer))
        sheet.whole(fmt::format("{}: {}: {}", printable(answer.name, 60),
                                answer.verdict == "failed" ? "FAILED" : answer.verdict,
                                printable(answer.sentence, 1000)));
  }
}

std::string incident_text(const Incident& incident) {
  return fmt::format("{}: {}{}{}{}", incident.id, incident.kind,
                     incident.check.empty() ? "" : " " + incident.check,
                     incident.count > 1 ? fmt::format(", {} times", incident.count) : "",
                     incident.reason.empty() ? "" : ": " + incident.reason);
}

void print_incidents(const Standing& standing, const Sheet& sheet) {
  constexpr std::size_t most = 5;
  const auto& open = standing.open_incidents;
  if (standing.incidents_hidden) sheet.row("incidents", "only root may read them");
  for (std::size_t i = 0; i < std::min(open.size(), most); ++i)
    sheet.row(i == 0 ? "open" : "", incident_text(open[i]));
  if (open.size() > most) sheet.row("", fmt::format("... and {} more", open.size() - most));
  if (standing.last_incident && !standing.last_incident->is_open())
    sheet.row("incident", fmt::format("the last one is closed: {}", incident_text(*standing.last_incident)));
}

std::string deploy_text(const Standing& standing) {
  const State& state = standing.state;
  const auto& deploy = standing.last_deploy;
  if (!deploy) {
    if (state.last.release.empty()) return "";
    return fmt::format("{} from {}, {}{}{}", printable(state.last.release),
                       state.last.from.empty() ? "(none)" : printable(state.last.from),
                       state.last.outcome.empty() ? "under way" : state.last.outcome,
                       state.last.reason.empty() ? "" : ": ", printable(state.last.reason, 1000));
  }
  const std::string by = asked_by(deploy->by);
  const std::string at = deploy->steps.empty() ? "" : deploy->steps.front().at;
  return fmt::format("deploy {}: {} from {}, {}, {}{}, took {}{}{}{}", deploy->number,
                     printable(deploy->release), deploy->from.empty() ? "(none)" : printable(deploy->from),
                     outcome_text(*deploy), local_time(at), ago(at),
                     took_text(*deploy) + (is_open(*deploy) ? " so far" : ""), by == "-" ? "" : ", by " + by,
                     deploy->reason.empty() ? "" : ": ", printable(deploy->reason, 1000));
}

void print_one(const Standing& standing) {
  const State& state = standing.state;
  const Sheet sheet(terminal_columns());
  const auto verdict = verdict_of(standing);
  sheet.row("app", standing.app);
  sheet.row("error", printable(standing.error, 4096));
  sheet.row("unit", unit_text(standing));
  sheet.row("phase", phase_text(standing));
  sheet.row("probation", probation_text(standing));
  sheet.row("current", standing.current.empty() ? "(none)"
                                                : fmt::format("{} ({})", printable(standing.current),
                                                              verdict ? mark_name(*verdict) : "no verdict"));
  if (standing.previous != standing.current) sheet.row("previous", printable(standing.previous));
  if (state.phase != Phase::idle) sheet.row("candidate", printable(state.candidate));
  sheet.row("failure", printable(state.failure, 4096));
  sheet.row("stuck", printable(state.stuck, 4096));
  sheet.row("lost", printable(state.lost, 4096));
  sheet.row("port", standing.port);
  sheet.row("last deploy", deploy_text(standing));
  print_answers(standing, sheet);
  print_incidents(standing, sheet);
  print_releases(standing, sheet);
  for (const auto& [why, commands] : next_steps(standing)) {
    sheet.row("next", why);
    for (const auto& command : commands) sheet.whole(command); // to be copied: never cut
  }
}

Result<int> status_of_one(const CommandLine& line, Bus* bus, Reporter& report) {
  auto app = load_app(line, line.arguments.front(), report);
  if (!app) {
    // The error is the answer, beside what the record has where there is one.
    auto known = app_with_record(line, line.arguments.front(), report);
    if (!known || line.has("json")) return forward_error(app);
    print_one(look(line, line.arguments.front(), bus, report));
    return static_cast<int>(app.error().outcome());
  }
  Standing standing = look(line, line.arguments.front(), bus, report);
  look_closer(standing, app->places, bus);
  if (line.has("json"))
    fmt::print("{}\n", to_text(closer_to_json(standing)));
  else
    print_one(standing);
  return standing.error.empty() ? 0 : static_cast<int>(Outcome::no);
}

} // namespace

Result<int> status(const CommandLine& line, Reporter& report) {
  if (line.arguments.size() > 1) return fail(Outcome::usage, line.arguments[1], "one APP at most");
  // Where systemd hangs, the rest is told all the same.
  auto bus = Bus::open_system(Deadline::after(std::chrono::seconds(3)));
  Bus* asked = bus ? &*bus : nullptr;
  if (!line.arguments.empty()) return status_of_one(line, asked, report);
  auto names = list_apps(directories(line).config);
  if (!names) return forward_error(names);
  std::vector<Standing> standings;
  for (const auto& name : *names) standings.push_back(look(line, name, asked, report));
  if (line.has("json")) {
    Json apps = Json::array();
    for (const auto& standing : standings) apps.push_back(to_json(standing));
    fmt::print("{}\n", to_text(Json{{"apps", std::move(apps)}}));
  } else if (standings.empty()) {
    report.say(Priority::info, fmt::format("no app is configured in {}", directories(line).config));
  } else {
    print_table(standings);
  }
  return 0;
}

} // namespace safe_deploy::command
