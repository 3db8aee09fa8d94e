#include "calendar.hpp"
#include "command.hpp"
#include "deploys.hpp"
#include "journal.hpp"
#include "quantity.hpp"
#include "timeline.hpp"

#include <fmt/format.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-messages.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

namespace safe_deploy::command {

namespace {

using Kind = LoggedEvent::Kind;
using Whose = LoggedEvent::Whose;

// The deploy that is drawn, and where in the history it lies.
struct Chosen {
  Deploy deploy;
  std::string next; // when the one after it began; empty: it is the last one
};

Result<Chosen> choose(const App& app, std::size_t nth_last) {
  auto deploys = last_deploys(app.places.state_dir, app.config.app, nth_last);
  if (!deploys) return forward_error(deploys);
  if (deploys->empty()) return fail(Outcome::no, app.config.app, "nothing was deployed yet");
  if (deploys->size() < nth_last)
    return fail(
        Outcome::no, app.config.app,
        fmt::format("there {} only {} in the history", deploys->size() == 1 ? "is" : "are",
                    deploys->size() == 1 ? "one deploy" : fmt::format("{} deploys", deploys->size())));
  Chosen chosen{.deploy = std::move(deploys->front()), .next = {}};
  if (deploys->size() > 1) chosen.next = (*deploys)[1].steps.front().at;
  return chosen;
}

// What systemd says of a unit, by the id of the message.
std::optional<Kind> kind_of(const std::string& message_id) {
  static const std::array<std::pair<std::string_view, Kind>, 5> known{
      {{SD_MESSAGE_UNIT_STARTING_STR, Kind::starting},
       {SD_MESSAGE_UNIT_STARTED_STR, Kind::started},
       {SD_MESSAGE_UNIT_FAILED_STR, Kind::failed},
       {SD_MESSAGE_UNIT_STOPPING_STR, Kind::stopping},
       {SD_MESSAGE_UNIT_STOPPED_STR, Kind::stopped}}};
  for (const auto& [id, kind] : known)
    if (message_id == id) return kind;
  return std::nullopt;
}

class Journal {
 public:
  Journal(const Config& config, const Chosen& chosen)
      : deploy_(chosen.deploy),
        next_(chosen.next),
        units_{{config.unit, Whose::app},
               {deploy_unit(config.app), Whose::deploy},
               {rollback_unit(config.app), Whose::rollback},
               {watch_unit(config.app), Whose::watch}} {}

  // What has to do with the deploy, oldest first.
  Result<std::vector<LoggedEvent>> read() {
    const auto first = parse_recorded(deploy_.steps.front().at);
    const auto last = parse_recorded(deploy_.steps.back().at);
    std::vector<LoggedEvent> events;
    if (!first || !last) return events;
    first_ = *first;
    auto reader = JournalReader::open(matches());
    if (!reader) return forward_error(reader);
    // The checks before a deploy may take their time.
    constexpr std::int64_t before = 3600'000;
    const std::int64_t begin = std::max<std::int64_t>(1, *first - before);
    if (auto sought = reader->seek(static_cast<std::uint64_t>(begin) * 1000); !sought)
      return forward_error(sought);
    const auto next = parse_recorded(next_);
    constexpr std::int64_t after = 60'000;
    const std::int64_t end = is_open(deploy_) ? std::numeric_limits<std::int64_t>::max() : *last + after;
    for (;;) {
      auto more = reader->next();
      if (!more) return forward_error(more);
      if (!*more) break;
      std::uint64_t realtime = 0;
      if (sd_journal_get_realtime_usec(reader->handle(), &realtime) < 0) continue;
      const auto milliseconds = static_cast<std::int64_t>(realtime / 1000);
      if (milliseconds > end || (next && milliseconds >= *next)) break;
      if (auto event = event_of(*reader, realtime)) events.push_back(*std::move(event));
    }
    std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    return only_of_deploy(std::move(events));
  }

 private:
  [[nodiscard]] std::vector<JournalMatch> matches() const {
    std::vector<JournalMatch> matches;
    for (const auto& [unit, whose] : units_) {
      matches.push_back({"_PID=1", "UNIT=" + unit});
      for (const char* gate : {"SYSLOG_IDENTIFIER=health-wait", "SYSLOG_IDENTIFIER=port-wait"}) {
        // Root's word alone counts where it is the app that logs: its gates run as root.
        JournalMatch own{"_SYSTEMD_UNIT=" + unit, gate};
        if (whose == Whose::app) own.emplace_back("_UID=0");
        matches.push_back(std::move(own));
        matches.push_back({"OBJECT_SYSTEMD_UNIT=" + unit, gate, "_UID=0"}); // see tools/report.cpp
      }
      if (whose == Whose::rollback)
        matches.push_back({"_SYSTEMD_UNIT=" + unit, "SYSLOG_IDENTIFIER=rollback-link", "_TRANSPORT=stdout"});
    }
    return matches;
  }

  // By the monotonic clock within the boot of the first step, else by the wall clock.
  [[nodiscard]] double seconds_of(const JournalReader& reader, std::uint64_t realtime) const {
    const HistoryStep& first = deploy_.steps.front();
    std::uint64_t monotonic = 0;
    sd_id128_t boot{};
    sd_id128_t first_boot{};
    if (sd_journal_get_monotonic_usec(reader.handle(), &monotonic, &boot) >= 0 &&
        sd_id128_from_string(first.boot.c_str(), &first_boot) >= 0 && sd_id128_equal(boot, first_boot) != 0)
      return static_cast<double>(monotonic) / 1e6 - first.monotonic;
    return (static_cast<double>(realtime) / 1000 - static_cast<double>(first_)) / 1000;
  }

  [[nodiscard]] std::optional<LoggedEvent> event_of(const JournalReader& reader,
                                                    std::uint64_t realtime) const {
    const JournalEntry entry = reader.entry();
    LoggedEvent event{.at = seconds_of(reader, realtime)};
    const std::string told_of = entry.field("UNIT", 300);
    std::string unit = told_of;
    for (const char* field : {"_SYSTEMD_UNIT", "OBJECT_SYSTEMD_UNIT"})
      if (const std::string named = entry.field(field, 300); told_of.empty() && units_named(named))
        unit = named;
    const auto found =
        std::find_if(units_.begin(), units_.end(), [&](const auto& each) { return each.first == unit; });
    if (found == units_.end()) return std::nullopt;
    event.whose = found->second;
    if (!told_of.empty()) {
      const auto kind = kind_of(entry.field("MESSAGE_ID", 64));
      if (!kind) return std::nullopt;
      event.kind = *kind;
      return event;
    }
    const std::string tool = entry.field("SYSLOG_IDENTIFIER", 64);
    if (tool == "rollback-link") {
      event.kind = Kind::linked;
      return event;
    }
    // What a tool prints is its yes, and what it calls one. What else it reports is a no, but for the warning
    // that it can't look well.
    const std::string priority = entry.field("PRIORITY", 8);
    event.yes = entry.field("_TRANSPORT", 16) == "stdout" || entry.field("SAFE_DEPLOY_ANSWER", 8) == "yes";
    if (!event.yes && priority == "4") return std::nullopt;
    event.kind = tool == "port-wait" ? Kind::port : Kind::health;
    const std::string check = entry.field("SAFE_DEPLOY_CHECK", 300);
    event.text = printable(entry.field("MESSAGE", 2000), 1000);
    if (!check.empty() && !event.text.starts_with(check)) event.text.insert(0, printable(check, 100) + ": ");
    return event;
  }

  [[nodiscard]] bool units_named(const std::string& unit) const {
    return std::any_of(units_.begin(), units_.end(), [&](const auto& each) { return each.first == unit; });
  }

  // From the start of its unit on, and no more once the last of its units has ended.
  [[nodiscard]] std::vector<LoggedEvent> only_of_deploy(std::vector<LoggedEvent> events) const {
    const Whose own = deploy_.kind == "rollback" ? Whose::rollback : Whose::deploy;
    double begin = 0;
    for (const auto& event : events)
      if (event.whose == own && event.kind == Kind::starting && event.at <= 0) begin = event.at;
    double end = std::numeric_limits<double>::infinity();
    if (!is_open(deploy_)) {
      const double last = seconds_into(deploy_, deploy_.steps.back()).value_or(0);
      end = last;
      // The unit that took the last step ends after it; what comes later has nothing to do with it.
      for (const auto& event : events) {
        const bool ends =
            event.whose != Whose::app && (event.kind == Kind::started || event.kind == Kind::failed);
        if (event.at < last || !ends) continue;
        end = event.at;
        break;
      }
    }
    std::erase_if(events, [&](const LoggedEvent& event) { return event.at < begin || event.at > end; });
    return events;
  }

  const Deploy& deploy_;
  const std::string& next_;
  std::vector<std::pair<std::string, Whose>> units_;
  std::int64_t first_ = 0;
};

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "this machine";
}

void add_words(const App& app, const Deploy& deploy, bool has_journal, Timeline& timeline) {
  const bool back = deploy.kind == "rollback";
  timeline.title =
      fmt::format("{}: {}{} from {}: {}", app.config.app, back ? "rollback to " : "", deploy.release,
                  deploy.from.empty() ? "(none)" : deploy.from, outcome_text(deploy));
  const std::string by = asked_by(deploy.by);
  timeline.about.push_back(fmt::format("{} {} on {}, {}{}{}", back ? "Rollback" : "Deploy", deploy.number,
                                       host_name(), local_time(deploy.steps.front().at),
                                       by == "-" ? "" : ", by " + by, deploy.forced ? ", forced" : ""));
  if (!deploy.reason.empty()) timeline.about.push_back("Reason: " + deploy.reason);
  if (!has_journal)
    timeline.about.emplace_back(
        "Drawn from the history alone: the journal could not be read, or has nothing of it.");
}

} // namespace

Result<int> plot(const CommandLine& line, Reporter& report) {
  auto name = app_argument(line, 2);
  if (!name) return forward_error(name);
  std::size_t nth_last = 1;
  if (line.arguments.size() == 2 && line.has("lines"))
    return fail(Outcome::usage, "--lines", "says the same as the second argument: one of them is enough");
  if (line.arguments.size() == 2 || line.has("lines")) {
    auto count =
        parse_count(line.arguments.size() == 2 ? line.arguments[1] : line.value("lines"), 1, 1'000'000);
    if (!count && line.has("lines")) return of_option("lines", std::move(count)).map([](auto) { return 0; });
    if (!count) return forward_error(count);
    nth_last = *count;
  }
  auto app = app_with_record(line, *name, report);
  if (!app) return forward_error(app);
  auto chosen = choose(*app, nth_last);
  if (!chosen) return forward_error(chosen);
  auto events = Journal(app->config, *chosen).read();
  if (!events)
    report.say(Priority::warning, fmt::format("{}; drawn from the history alone, without what the units did",
                                              events.error().text()));
  const std::vector<LoggedEvent> told = events ? *std::move(events) : std::vector<LoggedEvent>();
  Timeline timeline = timeline_of(chosen->deploy, told, seconds_until_now(chosen->deploy).value_or(0));
  add_words(*app, chosen->deploy, !told.empty(), timeline);
  fmt::print("{}", to_svg(timeline));
  return 0;
}

} // namespace safe_deploy::command
