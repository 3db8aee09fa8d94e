#include "ledger.hpp"

#include "directory.hpp"
#include "file.hpp"
#include "json.hpp"
#include "name.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <ctime>

namespace safe_deploy {

namespace {

constexpr int format_version = 1;
constexpr std::size_t state_limit = 16U << 20U;
constexpr std::size_t history_limit = 256U << 20U;
const std::string state_file = "state.json";
const std::string history_file = "history.jsonl";
// For the lines of a whole deploy and its rollback, with their reasons.
constexpr std::size_t room_for_history = 64U << 10U;

Json moment_to_json(const Moment& moment) {
  return {{"at", moment.at}, {"boot", moment.boot}, {"monotonic", moment.monotonic}};
}

Json to_json(const std::string& app, const State& state) {
  Json releases = Json::object();
  for (const auto& [name, record] : state.releases)
    append(releases, name,
           {{"verdict", mark_name(record.verdict)}, {"at", record.at}, {"reason", record.reason}});
  return {{"format", format_version},
          {"app", app},
          {"phase", phase_name(state.phase)},
          {"since", moment_to_json(state.since)},
          {"current", state.current},
          {"candidate", state.candidate},
          {"from", state.from},
          {"from_link", state.from_link},
          {"target", state.target},
          {"failure", state.failure},
          {"condemned", state.condemned},
          {"stuck", state.stuck},
          {"lost", state.lost},
          {"last",
           {{"number", state.last.number},
            {"release", state.last.release},
            {"from", state.last.from},
            {"started", state.last.started},
            {"ended", state.last.ended},
            {"outcome", state.last.outcome},
            {"reason", state.last.reason}}},
          {"releases", std::move(releases)}};
}

const Json& object_of(const Json& object, const char* key) {
  static const Json nothing = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : nothing;
}

// A release's entry that makes no sense costs that entry only: the others are still known.
void read_releases(const Json& releases, State& state) {
  for (const auto& [name, entry] : releases.items()) {
    const std::string verdict = entry.is_object() ? text_in(entry, "verdict") : "";
    if (!parse_release_name(name) || (verdict != "good" && verdict != "bad")) continue;
    state.releases[name] = {verdict == "good" ? Mark::good : Mark::bad, text_in(entry, "at"),
                            text_in(entry, "reason")};
  }
}

Result<State> parse_state(const std::string& text, const std::string& shown) {
  const Json json = parse_json(text);
  if (!json.is_object()) return fail(Outcome::no, shown, "is not a state file");
  const auto format = json.find("format");
  if (format == json.end() || !format->is_number_integer())
    return fail(Outcome::no, shown, "has no format version");
  if (*format > format_version)
    return fail(
        Outcome::no, shown,
        fmt::format("has format {}, this version knows {} at most", to_text(*format), format_version));
  const auto phase = parse_phase(text_in(json, "phase"));
  if (!phase) return fail(Outcome::no, shown, "has no phase that is known");
  State state;
  state.phase = *phase;
  const Json& since = object_of(json, "since");
  state.since = {text_in(since, "at"), text_in(since, "boot"), 0};
  if (const auto seconds = since.find("monotonic"); seconds != since.end() && seconds->is_number())
    state.since.monotonic = seconds->get<double>();
  state.current = text_in(json, "current");
  state.candidate = text_in(json, "candidate");
  state.from = text_in(json, "from");
  state.from_link = text_in(json, "from_link");
  state.target = text_in(json, "target");
  state.failure = text_in(json, "failure");
  state.condemned = text_in(json, "condemned");
  state.stuck = text_in(json, "stuck");
  state.lost = text_in(json, "lost");
  const Json& last = object_of(json, "last");
  if (const auto number = last.find("number"); number != last.end() && number->is_number_unsigned())
    state.last.number = number->get<std::uint64_t>();
  state.last.release = text_in(last, "release");
  state.last.from = text_in(last, "from");
  state.last.started = text_in(last, "started");
  state.last.ended = text_in(last, "ended");
  state.last.outcome = text_in(last, "outcome");
  state.last.reason = text_in(last, "reason");
  read_releases(object_of(json, "releases"), state);
  return state;
}

std::string app_directory(const std::string& state_dir, const std::string& app) {
  return fmt::format("{}/{}", state_dir, app);
}

// Nothing where there is no such file.
Result<std::optional<State>> read_state(int directory, const std::string& shown) {
  auto text = read_file_at(directory, state_file, shown, state_limit);
  if (!text && text.error().code == std::errc::no_such_file_or_directory) return std::nullopt;
  if (!text) return forward_error(text);
  return parse_state(*text, shown).map([](State&& state) { return std::optional(std::move(state)); });
}

Result<std::vector<std::string>> read_history(int directory, const std::string& shown) {
  auto text = read_file_at(directory, history_file, shown, history_limit);
  std::vector<std::string> lines;
  if (!text && text.error().code == std::errc::no_such_file_or_directory) return lines;
  if (!text) return forward_error(text);
  std::size_t begin = 0;
  for (std::size_t end = text->find('\n'); end != std::string::npos;
       begin = end + 1, end = text->find('\n', begin)) {
    std::string line = text->substr(begin, end - begin);
    if (Json::accept(line)) lines.push_back(std::move(line));
  }
  return lines;
}

// A history of one step at most is that of a record whose first step of all was cut short.
bool is_beginning(const std::vector<std::string>& lines) {
  return lines.size() <= 1;
}

std::string is_gone(const std::string& state_file_shown) {
  return state_file_shown + ": is gone";
}

// What the history tells of bad releases, and how many deploys there were. What it calls good is not
// believed: it is not known what has happened since.
State state_of_history(const std::vector<std::string>& lines, const std::string& lost) {
  State state;
  state.lost = lost;
  for (const auto& text : lines) {
    const Json line = parse_json(text);
    if (const auto number = line.find("deploy"); number != line.end() && number->is_number_unsigned())
      state.last.number = std::max(state.last.number, number->get<std::uint64_t>());
    for (const auto& [release, verdict] : object_of(line, "verdicts").items()) {
      state.releases.erase(release);
      if (verdict == "bad" && parse_release_name(release))
        state.releases[release] = {Mark::bad, text_in(line, "at"), text_in(line, "reason")};
    }
  }
  return state;
}

// The name, or with a number behind it where there is such a file already: nothing is ever replaced by it.
std::string unused_name(int directory, const std::string& name) {
  std::string unused = name;
  struct stat status {};
  for (int i = 2; fstatat(directory, unused.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0; ++i)
    unused = fmt::format("{}-{}", name, i);
  return unused;
}

} // namespace

namespace {

// When the first process of the container began, in ticks since the machine was booted; empty where it cannot
// be told.
std::string start_of_first_process() {
  constexpr int start_time = 22; // proc(5), /proc/PID/stat
  const auto stat = read_file_at(AT_FDCWD, "/proc/1/stat", "stat", 4096);
  std::size_t at = stat ? stat->rfind(')') : std::string::npos; // the name may hold anything
  for (int field = 2; field < start_time && at != std::string::npos; ++field) at = stat->find(' ', at + 1);
  return at == std::string::npos ? "" : stat->substr(at + 1, stat->find(' ', at + 1) - at - 1);
}

// The kernel's boot id is that of the machine. systemd-nspawn mounts one of the container over it, and
// ProtectControlGroups= and ProtectKernelTunables= bring the machine's own to light again (seen on 252): in a
// container it is not the same for all units.
std::string boot_of_now() {
  struct stat status {};
  const bool in_container = stat("/run/systemd/container", &status) == 0; // systemd(1) writes it
  if (std::string began = in_container ? start_of_first_process() : ""; !began.empty())
    return "container-" + began;
  auto boot = read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", "boot_id", 64);
  if (boot && boot->ends_with('\n')) boot->pop_back();
  return boot.value_or("");
}

} // namespace

Moment Moment::now() {
  timespec monotonic{};
  (void)clock_gettime(CLOCK_MONOTONIC, &monotonic);
  const auto wall = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto milliseconds = wall.time_since_epoch().count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(wall);
  std::tm parts{};
  (void)gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return {fmt::format("{}.{:03}Z", text.data(), milliseconds), boot_of_now(),
          static_cast<double>(monotonic.tv_sec) + static_cast<double>(monotonic.tv_nsec) / 1e9};
}

std::uint64_t microseconds_of(const std::string& at) {
  std::tm parts{};
  const char* rest = strptime(at.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return 0;
  const std::time_t seconds = timegm(&parts);
  if (seconds < 0) return 0;
  std::uint64_t fraction = 0;
  std::uint64_t unit = 1'000'000;
  if (*rest == '.')
    while (*++rest >= '0' && *rest <= '9' && unit > 1) {
      unit /= 10;
      fraction += unit * static_cast<std::uint64_t>(*rest - '0');
    }
  return static_cast<std::uint64_t>(seconds) * 1'000'000 + fraction;
}

std::string state_to_json(const std::string& app, const State& state) {
  return to_text(to_json(app, state));
}

Result<State> Ledger::read(const std::string& state_dir, const std::string& app) {
  const std::string path = app_directory(state_dir, app);
  auto directory = open_directory(path);
  if (!directory && directory.error().code == std::errc::no_such_file_or_directory) return State{};
  if (!directory) return forward_error(directory);
  const std::string shown = fmt::format("{}/{}", path, state_file);
  auto state = read_state(directory->get(), shown);
  if (!state) return forward_error(state);
  if (*state) return **std::move(state);
  auto told = read_history(directory->get(), fmt::format("{}/{}", path, history_file));
  if (!told && told.error().outcome() == Outcome::no) return State{};
  if (!told) return forward_error(told);
  return is_beginning(*told) ? State{} : state_of_history(*told, is_gone(shown));
}

Result<State> Ledger::anew(const std::string& state_dir, const std::string& app, const std::string& why) {
  auto told = history(state_dir, app);
  if (!told && told.error().outcome() != Outcome::no) return forward_error(told);
  return state_of_history(told.value_or(std::vector<std::string>()), why);
}

Result<std::vector<std::string>> Ledger::history(const std::string& state_dir, const std::string& app) {
  const std::string path = app_directory(state_dir, app);
  auto directory = open_directory(path);
  if (!directory && directory.error().code == std::errc::no_such_file_or_directory)
    return std::vector<std::string>();
  if (!directory) return forward_error(directory);
  return read_history(directory->get(), fmt::format("{}/{}", path, history_file));
}

Result<Ledger::Change> Ledger::Change::begin(const std::string& state_dir, const std::string& app,
                                             Duration patience, const std::string& current) {
  Change change;
  change.app_ = app;
  change.shown_ = app_directory(state_dir, app);
  for (const auto& path : {state_dir, change.shown_})
    if (auto made = make_durable_directory(path); !made) return forward_error(made);
  auto directory = open_directory(change.shown_);
  if (!directory) return forward_error(directory);
  change.directory_ = std::move(*directory);
  // Only root may open it: nobody else can keep the lock.
  change.lock_.reset(
      openat(change.directory_.get(), "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!change.lock_ && errno == EACCES) return fail_errno(change.shown_, "only root may change the record");
  if (!change.lock_) return fail_errno(change.shown_ + "/lock", "cannot open");
  if (auto locked = lock_file(change.lock_.get(), change.shown_ + "/lock", Deadline::after(patience));
      !locked)
    return forward_error(locked);

  auto state = read_state(change.directory_.get(), fmt::format("{}/{}", change.shown_, state_file));
  if (!state && state.error().outcome() != Outcome::no) return forward_error(state);
  if (state && *state) {
    change.state_ = change.recorded_ = **std::move(state);
    return change;
  }
  const Error unreadable = state ? Error{} : state.error();
  if (auto made = change.make_anew(unreadable, current); !made) return forward_error(made);
  return change;
}

// `unreadable` has no subject where there is no state file; which is right before the first step of all, but
// not where the history tells of several.
Result<void> Ledger::Change::make_anew(const Error& unreadable, const std::string& current) {
  const std::string shown = fmt::format("{}/{}", shown_, state_file);
  auto lines = read_history(directory_.get(), fmt::format("{}/{}", shown_, history_file));
  const bool is_missing = unreadable.subject.empty();
  if (!lines && (is_missing || lines.error().outcome() != Outcome::no)) return forward_error(lines);
  const std::vector<std::string> told = lines.value_or(std::vector<std::string>());
  if (is_missing && is_beginning(told)) return {};
  std::string kept;
  if (!is_missing) {
    const std::string aside =
        unused_name(directory_.get(), fmt::format("{}.unreadable-{}", state_file, Moment::now().at));
    if (renameat(directory_.get(), state_file.c_str(), directory_.get(), aside.c_str()) < 0)
      return fail_errno(shown, "cannot be read, and cannot be set aside");
    kept = fmt::format("; kept as {}", aside);
  }
  state_ = state_of_history(told, is_missing ? is_gone(shown) : unreadable.text());
  state_.current = current;
  state_.since = Moment::now();
  set_aside_ = fmt::format("{}{}, nothing is known to be good now", state_.lost, kept);
  recorded_ = state_; // there is nothing else to go back to
  return commit(Transition{"rebuilt", current, "", state_.lost});
}

// Once the intent is on disk, its end must find room as well.
Result<void> Ledger::Change::keep_room(const Spare& spare) {
  if (auto kept = keep_spare_at(directory_.get(), spare, fmt::format("{}/{}", shown_, spare.name)); !kept)
    return kept;
  return keep_room_at(directory_.get(), history_file, fmt::format("{}/{}", shown_, history_file),
                      room_for_history, 0644);
}

namespace {

Json asker_to_json(const Asker& asker) {
  Json json{{"uid", asker.uid.value_or(0)}, {"user", asker.user}};
  if (!asker.sudo_user.empty()) json["sudo_user"] = asker.sudo_user;
  if (!asker.job.empty()) json["job"] = asker.job;
  return json;
}

} // namespace

Result<void> Ledger::Change::write(const Transition& transition) {
  Json line = moment_to_json(Moment::now());
  line["event"] = transition.event;
  line["release"] = transition.release;
  if (!transition.from.empty()) line["from"] = transition.from;
  if (!transition.reason.empty()) line["reason"] = transition.reason;
  if (!transition.releases.empty()) line["releases"] = transition.releases;
  if (transition.by.is_known()) line["by"] = asker_to_json(transition.by);
  if (transition.forced) line["forced"] = true;
  for (const auto& [release, mark] : transition.verdicts)
    line["verdicts"][release] = mark ? Json(mark_name(*mark)) : Json();
  line["phase"] = phase_name(state_.phase);
  line["deploy"] = state_.last.number;
  const std::string state = to_text(to_json(app_, state_), 2) + "\n";
  // In steps, so that it is not made anew for each release that becomes known.
  constexpr std::size_t step = 64U << 10U;
  const Spare spare{".spare", (2 * state.size() / step + 1) * step};
  auto room = keep_room(spare);
  const bool begins = state_.phase == Phase::prepared;
  if (!room && begins) return room;
  auto appended = append_line_at(directory_.get(), history_file, fmt::format("{}/{}", shown_, history_file),
                                 to_text(line), 0644);
  if (!appended) return forward_error(appended);
  // What begins a deploy is not worth the last room.
  const Spare kept = begins ? Spare{"", spare.size} : spare;
  const std::string shown = fmt::format("{}/{}", shown_, state_file);
  auto replaced = replace_file_at(directory_.get(), state_file, shown, state, 0644, kept);
  if (replaced) return replaced;
  // It may be in place, and only not known to be on disk: what is given up must not be found there, nor told.
  const std::string before = to_text(to_json(app_, recorded_), 2) + "\n";
  const auto found = read_file_at(directory_.get(), state_file, shown, state_limit);
  const bool is_as_before =
      found ? found->starts_with(before) : found.error().code == std::errc::no_such_file_or_directory;
  if (is_as_before || replace_file_at(directory_.get(), state_file, shown, before, 0644, kept))
    cut_file_at(directory_.get(), history_file, *appended);
  return replaced;
}

Result<void> Ledger::Change::commit(const Result<Transition>& transition) {
  auto written = transition ? write(*transition) : Result<void>(tl::unexpected<Error>(transition.error()));
  if (written) {
    recorded_ = state_;
    return written;
  }
  state_ = recorded_;
  if (written.error().subject.empty()) written.error().subject = app_;
  return written;
}

} // namespace safe_deploy
