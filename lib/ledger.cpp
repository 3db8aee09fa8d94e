#include "ledger.hpp"

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

Json moment_to_json(const Moment& moment) {
  return {{"at", moment.at}, {"boot", moment.boot}, {"monotonic", moment.monotonic}};
}

Json to_json(const std::string& app, const State& state) {
  Json releases = Json::object();
  for (const auto& [name, record] : state.releases)
    releases[name] = {{"verdict", mark_name(record.verdict)}, {"at", record.at}, {"reason", record.reason}};
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

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const Json& object_of(const Json& object, const char* key) {
  static const Json nothing = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : nothing;
}

// A release's entry that makes no sense costs that entry only: the others are still known.
void read_releases(const Json& releases, State& state) {
  for (const auto& [name, entry] : releases.items()) {
    const std::string verdict = entry.is_object() ? text_of(entry, "verdict") : "";
    if (!parse_release_name(name) || (verdict != "good" && verdict != "bad")) continue;
    state.releases[name] = {verdict == "good" ? Mark::good : Mark::bad, text_of(entry, "at"),
                            text_of(entry, "reason")};
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
  const auto phase = parse_phase(text_of(json, "phase"));
  if (!phase) return fail(Outcome::no, shown, "has no phase that is known");
  State state;
  state.phase = *phase;
  const Json& since = object_of(json, "since");
  state.since = {text_of(since, "at"), text_of(since, "boot"), 0};
  if (const auto seconds = since.find("monotonic"); seconds != since.end() && seconds->is_number())
    state.since.monotonic = seconds->get<double>();
  state.current = text_of(json, "current");
  state.candidate = text_of(json, "candidate");
  state.from = text_of(json, "from");
  state.from_link = text_of(json, "from_link");
  state.target = text_of(json, "target");
  state.failure = text_of(json, "failure");
  state.condemned = text_of(json, "condemned");
  state.stuck = text_of(json, "stuck");
  const Json& last = object_of(json, "last");
  if (const auto number = last.find("number"); number != last.end() && number->is_number_unsigned())
    state.last.number = number->get<std::uint64_t>();
  state.last.release = text_of(last, "release");
  state.last.from = text_of(last, "from");
  state.last.started = text_of(last, "started");
  state.last.ended = text_of(last, "ended");
  state.last.outcome = text_of(last, "outcome");
  state.last.reason = text_of(last, "reason");
  read_releases(object_of(json, "releases"), state);
  return state;
}

std::string app_directory(const std::string& state_dir, const std::string& app) {
  return fmt::format("{}/{}", state_dir, app);
}

Result<State> read_state(int directory, const std::string& shown) {
  auto text = read_file_at(directory, state_file, shown, state_limit);
  if (!text && text.error().code == std::errc::no_such_file_or_directory) return State{};
  if (!text) return forward_error(text);
  return parse_state(*text, shown);
}

// The name, or with a number behind it where there is such a file already: nothing is ever replaced by it.
std::string unused_name(int directory, const std::string& name) {
  std::string unused = name;
  struct stat status {};
  for (int i = 2; fstatat(directory, unused.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0; ++i)
    unused = fmt::format("{}-{}", name, i);
  return unused;
}

// With its entry in the directory above on disk: what is written into it is to be found after a power loss.
Result<void> make_durable_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) < 0) {
    if (errno == EEXIST) return {};
    return fail_errno(path, "cannot create the directory");
  }
  auto above = open_directory(path + "/..");
  if (!above) return forward_error(above);
  return sync_directory(above->get(), path);
}

} // namespace

Moment Moment::now() {
  timespec monotonic{};
  (void)clock_gettime(CLOCK_MONOTONIC, &monotonic);
  const auto wall = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto milliseconds = wall.time_since_epoch().count() % 1000;
  auto boot = read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", "boot_id", 64);
  if (boot && boot->ends_with('\n')) boot->pop_back();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(wall);
  std::tm parts{};
  (void)gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return {fmt::format("{}.{:03}Z", text.data(), milliseconds), boot.value_or(""),
          static_cast<double>(monotonic.tv_sec) + static_cast<double>(monotonic.tv_nsec) / 1e9};
}

std::string state_to_json(const std::string& app, const State& state) {
  return to_text(to_json(app, state));
}

Result<State> Ledger::read(const std::string& state_dir, const std::string& app) {
  const std::string path = app_directory(state_dir, app);
  auto directory = open_directory(path);
  if (!directory && directory.error().code == std::errc::no_such_file_or_directory) return State{};
  if (!directory) return forward_error(directory);
  return read_state(directory->get(), path + "/" + state_file);
}

Result<std::vector<std::string>> Ledger::history(const std::string& state_dir, const std::string& app) {
  const std::string path = fmt::format("{}/{}", app_directory(state_dir, app), history_file);
  auto text = read_file_at(AT_FDCWD, path, path, history_limit);
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

Result<Ledger::Change> Ledger::Change::begin(const std::string& state_dir, const std::string& app,
                                             const Deadline& patience) {
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
  if (auto locked = lock_file(change.lock_.get(), change.shown_ + "/lock", patience); !locked)
    return forward_error(locked);

  const std::string shown = fmt::format("{}/{}", change.shown_, state_file);
  auto state = read_state(change.directory_.get(), shown);
  if (!state && state.error().outcome() == Outcome::no) {
    const std::string aside =
        unused_name(change.directory_.get(), fmt::format("{}.unreadable-{}", state_file, Moment::now().at));
    if (renameat(change.directory_.get(), state_file.c_str(), change.directory_.get(), aside.c_str()) < 0)
      return fail_errno(shown, "cannot be read, and cannot set aside");
    change.set_aside_ =
        fmt::format("{}; kept as {}, nothing is known to be good now", state.error().text(), aside);
    state = State{};
  }
  if (!state) return forward_error(state);
  change.state_ = std::move(*state);
  return change;
}

Result<void> Ledger::Change::commit(const Result<Transition>& transition) {
  if (!transition) {
    Error refused = transition.error();
    if (refused.subject.empty()) refused.subject = app_;
    return tl::unexpected<Error>(std::move(refused));
  }
  Json line = moment_to_json(Moment::now());
  line["event"] = transition->event;
  line["release"] = transition->release;
  if (!transition->from.empty()) line["from"] = transition->from;
  if (!transition->reason.empty()) line["reason"] = transition->reason;
  line["phase"] = phase_name(state_.phase);
  line["deploy"] = state_.last.number;
  if (auto appended = append_line_at(directory_.get(), history_file,
                                     fmt::format("{}/{}", shown_, history_file), to_text(line), 0644);
      !appended)
    return appended;
  return replace_file_at(directory_.get(), state_file, fmt::format("{}/{}", shown_, state_file),
                         to_text(to_json(app_, state_), 2) + "\n", 0644);
}

} // namespace safe_deploy
