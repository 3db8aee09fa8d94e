#include "last_answers.hpp"

#include "directory.hpp"
#include "file.hpp"
#include "json.hpp"
#include "ledger.hpp"
#include "name.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

constexpr std::size_t file_limit = 1U << 20U;
constexpr std::size_t sentence_limit = 1000;

bool is_moment(const std::string& when) {
  constexpr std::array<std::string_view, 4> moments{"preflight", "health", "watch", "monitor"};
  return std::find(moments.begin(), moments.end(), when) != moments.end();
}

Result<void> fail_moment(const std::string& when) {
  return fail(Outcome::usage, fmt::format("'{}'", printable(when, 40)), "is no moment of checks");
}

std::string directory_of(const std::string& state_dir, const std::string& app) {
  return fmt::format("{}/{}/checks", state_dir, app);
}

Json to_json(const std::vector<Asking>& answers) {
  Json listed = Json::array();
  for (const auto& asking : answers)
    listed.push_back({{"name", printable(asking.name)},
                      {"verdict", word(asking.answer.verdict)},
                      {"reason", printable(asking.answer.reason)},
                      {"sentence", printable(asking.answer.sentence, sentence_limit)}});
  return {{"at", Moment::now().at}, {"answers", std::move(listed)}};
}

bool is_still_named(int directory, const std::string& name, int file) {
  struct stat named {};
  struct stat opened {};
  return fstatat(directory, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(file, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

// The gate of the unit and the deploy ask at the same moment: whoever finds the other one at it leaves it to
// him, whose answers are as new.
Result<void> replace(int directory, const std::string& name, const std::string& shown,
                     const std::string& content) {
  const std::string temporary = fmt::format(".{}.new", name);
  const Fd file(openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail_errno(shown, "cannot create");
  if (flock(file.get(), LOCK_EX | LOCK_NB) < 0 || !is_still_named(directory, temporary, file.get()))
    return {};
  if (ftruncate(file.get(), 0) < 0) return fail_errno(shown, "cannot write");
  const ssize_t written = write(file.get(), content.data(), content.size());
  const bool is_whole = written >= 0 && static_cast<std::size_t>(written) == content.size();
  if (is_whole && fchmod(file.get(), 0644) == 0 &&
      renameat(directory, temporary.c_str(), directory, name.c_str()) == 0)
    return {};
  const int error_number = written >= 0 && !is_whole ? ENOSPC : errno;
  (void)unlinkat(directory, temporary.c_str(), 0);
  return fail_errno(shown, "cannot write", error_number);
}

} // namespace

Result<void> keep_answers(const std::string& state_dir, const std::string& app, const std::string& when,
                          const std::vector<Asking>& answers) {
  if (!is_moment(when)) return fail_moment(when);
  const std::string path = directory_of(state_dir, app);
  for (const auto& each : {fmt::format("{}/{}", state_dir, app), path})
    if (mkdir(each.c_str(), 0755) < 0 && errno != EEXIST)
      return fail_errno(each, "cannot create the directory");
  auto directory = open_directory(path);
  if (!directory) return forward_error(directory);
  const std::string name = when + ".json";
  return replace(directory->get(), name, fmt::format("{}/{}", path, name),
                 to_text(to_json(answers), 2) + "\n");
}

Result<LastAnswers> last_answers(const std::string& state_dir, const std::string& app,
                                 const std::string& when) {
  if (auto known = is_moment(when) ? Result<void>() : fail_moment(when); !known) return forward_error(known);
  const std::string path = directory_of(state_dir, app);
  auto directory = open_directory(path);
  if (!directory && directory.error().code == std::errc::no_such_file_or_directory) return LastAnswers{};
  if (!directory) return forward_error(directory);
  const std::string name = when + ".json";
  auto text = read_file_at(directory->get(), name, fmt::format("{}/{}", path, name), file_limit);
  if (!text &&
      (text.error().outcome() == Outcome::no || text.error().code == std::errc::no_such_file_or_directory))
    return LastAnswers{};
  if (!text) return forward_error(text);
  const Json json = parse_json(*text);
  LastAnswers last;
  const auto listed = json.is_object() ? json.find("answers") : json.end();
  if (!json.is_object() || listed == json.end() || !listed->is_array()) return last;
  for (const auto& entry : *listed)
    if (entry.is_object() && !text_in(entry, "name").empty())
      last.answers.push_back({printable(text_in(entry, "name")), printable(text_in(entry, "verdict")),
                              printable(text_in(entry, "reason")),
                              printable(text_in(entry, "sentence"), sentence_limit)});
  last.at = printable(text_in(json, "at"));
  if (last.at.empty()) last.answers.clear();
  return last;
}

} // namespace safe_deploy
