#include "checks/environment_check.hpp"

#include "environment_file.hpp"
#include "name.hpp"
#include "text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

namespace safe_deploy {

namespace {

constexpr std::size_t file_limit = 1UL << 20U;

// The files that an EnvironmentFile= names, as systemd looks for them (glob(3)). Where none matches: the
// pattern itself, to be told as missing.
Result<std::vector<std::string>> files_of(FileApart& files, const std::string& pattern,
                                          const Deadline& deadline) {
  if (pattern.find_first_of("*?[") == std::string::npos) return std::vector{pattern};
  auto found = files.matching(pattern, deadline);
  if (found && found->empty()) found->push_back(pattern);
  return found;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The wanted names and what becomes of them.
class Wanted {
 public:
  explicit Wanted(const std::vector<std::string>& names) {
    for (const auto& name : names) values_.emplace(name, std::nullopt);
  }

  void set(std::string_view name, std::string_view value) {
    if (const auto found = values_.find(name); found != values_.end()) found->second = value;
  }

  // "NAME=value"
  void assign(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) set(text.substr(0, equals), text.substr(equals + 1));
  }

  // The same, where nothing of the unit's own has set it.
  void assign_if_not_set(std::string_view text) {
    const auto found = values_.find(text.substr(0, text.find('=')));
    if (found != values_.end() && !found->second) assign(text);
  }

  // "NAME", or "NAME=value" for this very value: systemd.exec(5), UnsetEnvironment=.
  void unset(std::string_view text) {
    const std::size_t equals = text.find('=');
    const auto found = values_.find(text.substr(0, equals));
    if (found == values_.end() || !found->second) return;
    if (equals == std::string_view::npos || *found->second == text.substr(equals + 1)) found->second.reset();
  }

  void give(const std::string& credential) {
    if (values_.erase(credential) > 0) credentials_.insert(credential);
  }

  [[nodiscard]] bool all_given() const { return values_.empty(); }
  [[nodiscard]] bool is_credential(const std::string& name) const { return credentials_.contains(name); }

  [[nodiscard]] std::vector<std::string> without_value() const {
    return names([](const auto& value) { return !value; });
  }
  [[nodiscard]] std::vector<std::string> empty() const {
    return names([](const auto& value) { return value && value->empty(); });
  }

 private:
  template <class Is>
  [[nodiscard]] std::vector<std::string> names(Is is) const {
    std::vector<std::string> found;
    for (const auto& [name, value] : values_)
      if (is(value)) found.push_back(name);
    return found;
  }

  std::map<std::string, std::optional<std::string>, std::less<>> values_;
  std::set<std::string> credentials_;
};

// The answer for what of a unit's could not be looked at, in time or at all.
Answer cannot_look(const std::string& unit, const std::string& what, const Error& error) {
  const std::string sentence = fmt::format("{} of {}: {}", what, unit, printable(error.text(), 400));
  return error.outcome() == Outcome::timed_out ? Answer::no("timeout", sentence)
                                               : Answer::skipped("unreadable", sentence);
}

// What keeps a file from being taken into account; nothing where it is.
std::optional<Answer> take_file(FileApart& files, const std::string& path, bool optional,
                                const std::string& unit, Wanted& wanted, const Deadline& deadline) {
  const auto text = files.read(path, file_limit, deadline);
  if (text) {
    const auto read = read_environment_file(
        *text, [&](std::string_view name, std::string_view value) { wanted.set(name, value); });
    if (read || optional) return std::nullopt;
    return Answer::no("file", fmt::format("{}: its EnvironmentFile= {} {}: systemd would not start it", unit,
                                          printable(path), read.error().problem));
  }
  const bool missing = text.error().code == std::errc::no_such_file_or_directory ||
                       text.error().code == std::errc::not_a_directory;
  if (missing && optional) return std::nullopt;
  if (missing)
    return Answer::no("file",
                      fmt::format("{}: its EnvironmentFile= {} is missing: systemd would not start it", unit,
                                  printable(path)));
  return cannot_look(unit, "EnvironmentFile=", text.error());
}

// A file that is missing counts more than one that cannot be read.
std::optional<Answer> take_files(const UnitState& unit, FileApart& files, const Deadline& deadline,
                                 Wanted& wanted) {
  std::optional<Answer> problem;
  for (const auto& [pattern, optional] : unit.environment_files) {
    const auto paths = files_of(files, pattern, deadline);
    if (!paths) return cannot_look(unit.name, "EnvironmentFile=", paths.error());
    for (const auto& path : *paths) {
      auto found = take_file(files, path, optional, unit.name, wanted, deadline);
      if (found && (!problem || found->objects())) problem = std::move(found);
      if (problem && problem->objects()) return problem;
    }
  }
  return problem;
}

// A source that is missing, though neither the system nor SetCredential= may give it instead. What cannot be
// looked at is left to systemd.
std::optional<Answer> missing_credential(const UnitState& unit, FileApart& files, const Deadline& deadline) {
  for (const auto& [name, path] : unit.loaded_credentials) {
    if (!path.starts_with('/') || contains(unit.set_credentials, name)) continue;
    const auto exists = files.exists(path, deadline);
    if (!exists && exists.error().outcome() == Outcome::timed_out)
      return cannot_look(unit.name, "LoadCredential=", exists.error());
    if (exists && !*exists)
      return Answer::no("credential",
                        fmt::format("{}: {} of its LoadCredential={} is missing: systemd would not "
                                    "start it",
                                    unit.name, printable(path), printable(name)));
  }
  return std::nullopt;
}

bool is_imported(const UnitState& unit, const std::string& name) {
  return std::any_of(
      unit.import_credentials.begin(), unit.import_credentials.end(),
      [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

std::string are(const std::vector<std::string>& names, const char* what) {
  return fmt::format("{} {} {}", fmt::join(names, ", "), names.size() == 1 ? "is" : "are", what);
}

} // namespace

Answer EnvironmentCheck::judge(const UnitState& unit, const std::vector<std::string>& names,
                               const ForAll& for_all, FileApart& files, const Deadline& deadline) {
  Wanted wanted(names);
  for (const auto& credential : unit.credentials) wanted.give(credential);
  if (auto problem = missing_credential(unit, files, deadline)) return *std::move(problem);
  for (const auto& assignment : unit.environment) wanted.assign(assignment);
  if (!wanted.all_given())
    if (auto problem = take_files(unit, files, deadline, wanted)) return *std::move(problem);
  if (!wanted.without_value().empty()) {
    const auto all = for_all();
    if (!all) return Answer::skipped("systemd", all.error().text());
    for (const auto& assignment : *all) wanted.assign_if_not_set(assignment);
  }
  std::vector<std::string> unknown;
  for (const auto& name : wanted.without_value())
    if (is_imported(unit, name) ||
        (contains(unit.pass_environment, name) && !contains(unit.unset_environment, name)))
      unknown.push_back(name);
  for (const auto& name : unit.unset_environment) wanted.unset(name);

  auto unset = wanted.without_value();
  unset.erase(std::remove_if(unset.begin(), unset.end(),
                             [&](const std::string& name) { return contains(unknown, name); }),
              unset.end());
  const auto empty = wanted.empty();
  std::string sentence = unit.name + ": ";
  if (!unset.empty()) sentence += are(unset, "not set");
  if (!unset.empty() && !empty.empty()) sentence += ", ";
  if (!empty.empty()) sentence += are(empty, "empty");
  if (!unset.empty() || !empty.empty()) return Answer::no(unset.empty() ? "empty" : "not-set", sentence);
  // It comes from systemd's own environment, as it is in its process, or from the system's credentials.
  if (!unknown.empty())
    return Answer::skipped("unknown",
                           fmt::format("{}: what PassEnvironment= or ImportCredential= gives as {} is "
                                       "not known",
                                       unit.name, fmt::join(unknown, ", ")));
  sentence += are(names, "set");
  std::vector<std::string> credentials;
  std::copy_if(names.begin(), names.end(), std::back_inserter(credentials),
               [&](const std::string& name) { return wanted.is_credential(name); });
  if (!credentials.empty())
    sentence += fmt::format(" ({} as {})", fmt::join(credentials, ", "),
                            credentials.size() == 1 ? "a credential" : "credentials");
  return Answer::yes(sentence);
}

Answer EnvironmentCheck::ask(const Deadline& deadline) {
  const auto unit = units_->state(unit_, deadline);
  if (!unit) return Answer::skipped("systemd", unit.error().text());
  if (unit->load_state != "loaded")
    return Answer::no("not-loaded", fmt::format("{}: systemd says {}", unit_, unit->load_state));
  return judge(
      *unit, names_, [&] { return units_->manager_environment(deadline); }, files_, deadline);
}

Result<std::shared_ptr<Check>> make_environment_check(const Values& values) {
  auto text = values.text("environment");
  if (!text) return forward_error(text);
  // Of what a ${...} stood for it is not known yet.
  if (std::string problem = judge::environment_names(*text); !problem.empty())
    return values.wrong("environment", {"", std::move(problem), Outcome::usage});
  const auto names = split_list(*text);
  return std::make_shared<EnvironmentCheck>(
      values.context().unit, std::vector<std::string>(names.begin(), names.end()), values.units());
}

} // namespace safe_deploy
