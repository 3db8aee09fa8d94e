#include "incident.hpp"

#include "directory.hpp"
#include "file.hpp"
#include "json.hpp"
#include "ledger.hpp"
#include "name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace safe_deploy {

namespace {

const std::string incident_file = "incident.json";
// A directory is made under this name and gets its own when it is whole.
const std::string unfinished = ".new";
constexpr int format_version = 1;
constexpr std::size_t file_limit = 1U << 20U;
constexpr std::size_t word_limit = 255;
constexpr std::size_t sentence_limit = 2000;
constexpr std::size_t most_lines = 50;
constexpr std::size_t line_limit = 1000;

// What of it goes to a terminal: apps may log any byte, and a file may have been tampered with.
Incident made_printable(Incident incident) {
  for (std::string* word : {&incident.id, &incident.kind, &incident.app, &incident.release, &incident.check,
                            &incident.at, &incident.last_at, &incident.closed_at, &incident.closed_by})
    *word = printable(*word, word_limit);
  for (std::string* sentence : {&incident.reason, &incident.done, &incident.note})
    *sentence = printable(*sentence, sentence_limit);
  if (incident.lines.size() > most_lines)
    incident.lines.erase(incident.lines.begin(), incident.lines.end() - most_lines);
  for (auto& line : incident.lines) line = printable(line, line_limit);
  return incident;
}

Json to_json(const Incident& incident) {
  return {{"format", format_version},
          {"id", incident.id},
          {"kind", incident.kind},
          {"app", incident.app},
          {"release", incident.release},
          {"check", incident.check},
          {"at", incident.at},
          {"last_at", incident.last_at},
          {"count", incident.count},
          {"reason", incident.reason},
          {"done", incident.done},
          {"lines", incident.lines},
          {"closed_at", incident.closed_at},
          {"closed_by", incident.closed_by},
          {"note", incident.note}};
}

// The directory says whose it is, and which: not the file.
std::optional<Incident> parse(const std::string& text, const std::string& app, const std::string& id) {
  const Json json = parse_json(text);
  if (!json.is_object()) return std::nullopt;
  Incident incident{.id = id,
                    .kind = text_in(json, "kind"),
                    .app = app,
                    .release = text_in(json, "release"),
                    .check = text_in(json, "check"),
                    .at = text_in(json, "at"),
                    .last_at = text_in(json, "last_at"),
                    .reason = text_in(json, "reason"),
                    .done = text_in(json, "done"),
                    .lines = {},
                    .closed_at = text_in(json, "closed_at"),
                    .closed_by = text_in(json, "closed_by"),
                    .note = text_in(json, "note")};
  if (incident.kind.empty() || incident.at.empty()) return std::nullopt;
  if (const auto count = json.find("count"); count != json.end() && count->is_number_unsigned())
    incident.count = std::max<std::uint64_t>(1, count->get<std::uint64_t>());
  if (const auto lines = json.find("lines"); lines != json.end() && lines->is_array())
    for (const auto& line : *lines)
      if (line.is_string()) incident.lines.push_back(line.get<std::string>());
  return made_printable(std::move(incident));
}

// STATE_DIR/APP/incidents.
struct Place {
  std::string app;
  std::string shown;
  Fd directory;
  Fd lock = {}; // of those that write

  [[nodiscard]] std::string path_of(const std::string& id) const {
    return fmt::format("{}/{}/{}", shown, id, incident_file);
  }

  // An invalid Fd in it where there is no such directory.
  static Result<Place> open(const std::string& state_dir, const std::string& app) {
    Place place{app, fmt::format("{}/{}/incidents", state_dir, app), {}};
    auto directory = open_directory(place.shown);
    if (directory) place.directory = std::move(*directory);
    if (!directory && directory.error().code != std::errc::no_such_file_or_directory)
      return forward_error(directory);
    return place;
  }

  // For a change. Only root may open the lock: nobody else can keep it.
  Result<void> take_lock() {
    lock.reset(openat(directory.get(), "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock && errno == EACCES) return fail_errno(shown, "only root may change incidents");
    if (!lock) return fail_errno(shown + "/lock", "cannot open");
    return lock_file(lock.get(), shown + "/lock", Deadline::after(lock_patience));
  }

  // Nothing where there is none, or nothing that can be understood.
  [[nodiscard]] std::optional<Incident> read(const std::string& id) const {
    if (!parse_release_name(id) || id.front() == '.') return std::nullopt;
    const Fd own = open_subdirectory(directory.get(), id);
    if (!own) return std::nullopt;
    const auto text = read_file_at(own.get(), incident_file, path_of(id), file_limit);
    return text ? parse(*text, app, id) : std::nullopt;
  }

  // The directories that are not unfinished, whatever is in them.
  [[nodiscard]] Result<std::vector<std::string>> ids() const {
    std::vector<std::string> found;
    auto listed = list_directory(directory.get(), shown, [&](const char* name, unsigned char type) {
      if ((type == DT_DIR || type == DT_UNKNOWN) && *name != '.') found.emplace_back(name);
    });
    if (!listed) return forward_error(listed);
    return found;
  }

  [[nodiscard]] Result<std::vector<Incident>> all() const {
    auto names = ids();
    if (!names) return forward_error(names);
    std::vector<Incident> incidents;
    for (const auto& id : *names)
      if (auto incident = read(id)) incidents.push_back(std::move(*incident));
    std::sort(incidents.begin(), incidents.end(), [](const Incident& a, const Incident& b) {
      return std::tie(a.at, a.id) > std::tie(b.at, b.id);
    });
    return incidents;
  }

  [[nodiscard]] Result<void> write(const Incident& incident) const {
    const Fd own = open_subdirectory(directory.get(), incident.id);
    if (!own) return fail_errno(path_of(incident.id), "cannot open");
    return replace_file_at(own.get(), incident_file, path_of(incident.id),
                           to_text(to_json(incident), 2) + "\n", 0640);
  }

  // It gets its name when it is on disk: there is none without its file.
  [[nodiscard]] Result<void> add(const Incident& incident) const {
    const std::string path = fmt::format("{}/{}", shown, unfinished);
    if (auto removed = remove_tree_at(directory.get(), unfinished, path); !removed) return removed;
    if (mkdirat(directory.get(), unfinished.c_str(), 0755) < 0)
      return fail_errno(path, "cannot create the directory");
    const Fd own = open_subdirectory(directory.get(), unfinished);
    if (!own) return fail_errno(path, "cannot open");
    auto added = replace_file_at(own.get(), incident_file, fmt::format("{}/{}", path, incident_file),
                                 to_text(to_json(incident), 2) + "\n", 0640);
    if (added && renameat(directory.get(), unfinished.c_str(), directory.get(), incident.id.c_str()) < 0)
      added = fail_errno(path, "cannot rename");
    if (added) return sync_directory(directory.get(), shown);
    (void)remove_tree_at(directory.get(), unfinished, path);
    return added;
  }

  // "20261128-101502-rolled-back", of a time as Moment has it; with a number behind it if there is one.
  [[nodiscard]] std::string new_id(const Incident& incident) const {
    std::string digits;
    for (const char c : incident.at.substr(0, std::min(incident.at.find('.'), incident.at.size()))) {
      if (c == 'T') digits += '-';
      if (c >= '0' && c <= '9') digits += c;
    }
    const std::string name = fmt::format("{}-{}", digits, incident.kind);
    std::string id = name;
    struct stat status {};
    for (int i = 2; fstatat(directory.get(), id.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0; ++i)
      id = fmt::format("{}-{}", name, i);
    return id;
  }

  // What cannot be understood counts as closed long ago.
  void remove_surplus() const {
    auto names = ids();
    auto incidents = all();
    if (!names || !incidents || names->size() <= most_incidents) return;
    const auto age = [&](const std::string& id) {
      const auto found = std::find_if(incidents->begin(), incidents->end(),
                                      [&](const Incident& incident) { return incident.id == id; });
      if (found == incidents->end()) return std::tuple(0, std::string(), id);
      return std::tuple(found->is_open() ? 2 : 1, found->at, id);
    };
    std::sort(names->begin(), names->end(),
              [&](const std::string& a, const std::string& b) { return age(a) < age(b); });
    for (std::size_t i = 0; i + most_incidents < names->size(); ++i)
      (void)remove_tree_at(directory.get(), (*names)[i], fmt::format("{}/{}", shown, (*names)[i]));
  }
};

Result<Place> open_for_change(const std::string& state_dir, const std::string& app) {
  const std::string own = fmt::format("{}/{}", state_dir, app);
  for (const auto& [path, mode] :
       {std::pair(state_dir, 0755), std::pair(own, 0755), std::pair(own + "/incidents", 0750)})
    if (auto made = make_durable_directory(path, static_cast<mode_t>(mode)); !made)
      return forward_error(made);
  auto place = Place::open(state_dir, app);
  if (!place) return place;
  if (auto locked = place->take_lock(); !locked) return forward_error(locked);
  return place;
}

} // namespace

Result<std::string> open_incident(const std::string& state_dir, Incident incident) {
  if (auto kind = parse_app_name(incident.kind); !kind)
    return fail(Outcome::usage, fmt::format("'{}'", printable(incident.kind, 40)), "is no kind of incident");
  auto place = open_for_change(state_dir, incident.app);
  if (!place) return forward_error(place);
  if (incident.at.empty()) incident.at = Moment::now().at;
  incident = made_printable(std::move(incident));
  auto known = place->all();
  if (!known) return forward_error(known);
  for (auto& before : *known) {
    if (!before.is_open() || before.kind != incident.kind || before.release != incident.release ||
        before.check != incident.check)
      continue;
    if (before.count < std::numeric_limits<std::uint64_t>::max()) ++before.count;
    before.last_at = incident.at;
    before.reason = incident.reason;
    before.done = incident.done;
    // No lines are no better evidence than those of before.
    if (!incident.lines.empty()) before.lines = incident.lines;
    if (auto written = place->write(before); !written) return forward_error(written);
    return before.id;
  }
  incident.id = place->new_id(incident);
  incident.last_at = incident.at;
  incident.count = 1;
  incident.closed_at.clear();
  if (auto added = place->add(incident); !added) return forward_error(added);
  place->remove_surplus();
  return incident.id;
}

Result<std::vector<Incident>> list_incidents(const std::string& state_dir, const std::string& app) {
  auto place = Place::open(state_dir, app);
  if (!place) return forward_error(place);
  if (!place->directory) return std::vector<Incident>();
  return place->all();
}

Result<void> close_incident(const std::string& state_dir, const std::string& app, const std::string& id,
                            const std::string& note, const std::string& by) {
  const std::string shown = fmt::format("'{}'", printable(id, 80));
  auto place = Place::open(state_dir, app);
  if (!place) return forward_error(place);
  if (!place->directory || !place->read(id))
    return fail(Outcome::no, shown, fmt::format("{} has no such incident", app));
  if (auto locked = place->take_lock(); !locked) return locked;
  auto incident = place->read(id);
  if (!incident) return fail(Outcome::no, shown, fmt::format("{} has no such incident", app));
  if (!incident->is_open())
    return fail(Outcome::no, shown, fmt::format("is closed since {}", incident->closed_at));
  incident->closed_at = Moment::now().at;
  incident->closed_by = by;
  incident->note = note;
  return place->write(made_printable(std::move(*incident)));
}

std::string incident_to_json(const Incident& incident) {
  return to_text(to_json(incident));
}

} // namespace safe_deploy
