#include "checks/journal_check.hpp"

#include "name.hpp"
#include "priority.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

namespace {

JournalMatch with_priorities(std::string field, int priority) {
  JournalMatch match{std::move(field)};
  for (int each = 0; each <= priority; ++each) match.push_back(fmt::format("PRIORITY={}", each));
  return match;
}

// The wall clock so long ago: journald's clock (sd_journal_seek_realtime_usec(3)).
std::uint64_t realtime_before(Duration duration) {
  const auto now = std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch());
  return static_cast<std::uint64_t>(std::max(now - duration, Duration(1)).count());
}

} // namespace

Answer JournalCheck::judge(const JournalQuestion& question, const Logged& logged) {
  const std::string span = question.since ? fmt::format("in the last {}", format_duration(*question.since))
                                          : std::string("since it was started");
  const std::string of = fmt::format("of priority {}{}", priority_name(question.priority),
                                     question.priority > 0 ? " or worse" : "");
  Answer answer = Answer::yes(fmt::format("{} logged nothing {} {}", question.unit, of, span));
  if (logged.count > 0) {
    const bool one = logged.count == 1;
    std::string sentence = fmt::format("{} logged {}{} message{} {} {}{} \"{}\"", question.unit, logged.count,
                                       logged.count >= Logged::most ? " or more" : "", one ? "" : "s", of,
                                       span, one ? ":" : ", the first:", printable(logged.first));
    // Where there are too many they were not read to the end.
    if (!one && logged.count < Logged::most && logged.last != logged.first)
      sentence += fmt::format(", the last: \"{}\"", printable(logged.last));
    answer = Answer::no("logged", std::move(sentence));
  }
  answer.figures = {{"messages", static_cast<double>(logged.count), ""}};
  return answer;
}

Result<bool> JournalCheck::is_ignored(const JournalQuestion& question, const std::string& message,
                                      const Deadline& deadline) {
  for (const Regex& regex : question.ignore) {
    const auto found = regex.found_in(message, deadline);
    if (!found && found.error().outcome() == Outcome::timed_out) return tl::unexpected<Error>(found.error());
    if (found && *found) return true;
  }
  return false;
}

Result<void> JournalCheck::look_from_the_start(const UnitState& unit) {
  const std::string field =
      question_.since ? "_SYSTEMD_UNIT=" + unit.name : "_SYSTEMD_INVOCATION_ID=" + unit.invocation_id;
  if (reader_ && of_ == field) {
    reader_->refresh();
    // Nothing that matters so far is forgotten, unless time has passed over it.
    if (!question_.since) return {};
  } else {
    reader_.reset();
    auto reader = JournalReader::open({with_priorities(field, question_.priority)});
    if (!reader) return forward_error(reader);
    reader_.emplace(std::move(*reader));
    of_ = field;
  }
  logged_ = {};
  unjudged_ = false;
  return reader_->seek(question_.since ? realtime_before(*question_.since) : 0);
}

Result<void> JournalCheck::read_on(const Deadline& deadline) {
  while (logged_.count < Logged::most) {
    if (!unjudged_) {
      const auto more = reader_->next();
      if (!more) return tl::unexpected<Error>(more.error());
      if (!*more) return {};
    }
    unjudged_ = true;
    if (deadline.has_passed())
      return fail(
          Outcome::timed_out, question_.unit,
          fmt::format("its messages could not all be read within {}", format_duration(deadline.given())));
    const JournalEntry entry = reader_->entry();
    std::string message = entry.is_ours() ? std::string() : entry.field("MESSAGE", 8192);
    const auto ignored = entry.is_ours() ? Result<bool>(true) : is_ignored(question_, message, deadline);
    if (!ignored) return fail(Outcome::timed_out, question_.unit, "a message: " + ignored.error().problem);
    unjudged_ = false;
    if (*ignored) continue;
    if (logged_.count++ == 0) logged_.first = message;
    logged_.last = std::move(message);
  }
  return {};
}

Answer JournalCheck::ask(const Deadline& deadline) {
  const auto unit = units_->state(question_.unit, deadline);
  if (!unit) return Answer::skipped("systemd", unit.error().text());
  if (unit->load_state != "loaded")
    return Answer::no("not-loaded", fmt::format("{}: systemd says {}", question_.unit, unit->load_state));
  if (!question_.since && unit->invocation_id.empty())
    return Answer::skipped("inactive", fmt::format("{} has not been started yet", question_.unit));
  auto looked = look_from_the_start(*unit);
  if (looked) looked = read_on(deadline);
  if (looked) return judge(question_, logged_);
  if (looked.error().outcome() == Outcome::timed_out) return Answer::no("timeout", looked.error().text());
  reader_.reset();
  return Answer::skipped("journal", looked.error().text());
}

Result<std::shared_ptr<Check>> make_journal_check(const Values& values) {
  JournalQuestion question;
  auto unit = values.text("journal");
  if (!unit) return forward_error(unit);
  question.unit = service_name(*unit);
  if (values.has("since")) {
    auto since = values.parsed("since", parse_duration, Duration::zero());
    if (!since) return forward_error(since);
    question.since = *since;
  }
  auto priority = values.parsed("priority", parse_priority, question.priority);
  if (!priority) return forward_error(priority);
  question.priority = *priority;
  auto ignore = values.all_parsed("ignore", Regex::compile, quote_for_regex);
  if (!ignore) return forward_error(ignore);
  question.ignore = std::move(*ignore);
  return std::make_shared<JournalCheck>(std::move(question), values.units());
}

} // namespace safe_deploy
