#include "asker_here.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string>

namespace safe_deploy {

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Without what may be a secret in it: a user with his password, and the query.
std::string plain_url(std::string url) {
  url.resize(std::min(url.find_first_of("?#"), url.size()));
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return "";
  const std::size_t host = scheme + 3;
  const std::size_t at = url.substr(0, url.find('/', host)).rfind('@');
  if (at != std::string::npos && at >= host) url.erase(host, at + 1 - host);
  return url;
}

std::string joined(std::initializer_list<std::string> words) {
  std::string text;
  for (const auto& word : words)
    if (!word.empty()) text += text.empty() ? word : " " + word;
  return text;
}

std::string numbered(const std::string& project, const std::string& number) {
  return number.empty() ? project : fmt::format("{}#{}", project, number);
}

std::string by(const std::string& user) {
  return user.empty() ? "" : fmt::format("by {}", user);
}

std::string ci_job() {
  if (!variable("GITHUB_ACTIONS").empty()) {
    const std::string server = variable("GITHUB_SERVER_URL");
    const std::string repository = variable("GITHUB_REPOSITORY");
    const std::string run = variable("GITHUB_RUN_ID");
    const std::string url = server.empty() || repository.empty() || run.empty()
                                ? ""
                                : fmt::format("{}/{}/actions/runs/{}", server, repository, run);
    return joined(
        {"GitHub Actions", numbered(repository, run), by(variable("GITHUB_ACTOR")), plain_url(url)});
  }
  if (!variable("GITLAB_CI").empty())
    return joined({"GitLab CI", numbered(variable("CI_PROJECT_PATH"), variable("CI_JOB_ID")),
                   by(variable("GITLAB_USER_LOGIN")), plain_url(variable("CI_JOB_URL"))});
  if (!variable("BUILD_TAG").empty() && !variable("BUILD_URL").empty())
    return joined({"Jenkins", variable("BUILD_TAG"), plain_url(variable("BUILD_URL"))});
  const std::string ci = variable("CI");
  return ci.empty() || ci == "false" || ci == "0" ? "" : "CI";
}

} // namespace

Asker asker_here() {
  const uid_t uid = geteuid();
  return {.uid = uid,
          .user = user_name(uid),
          .sudo_user = uid == 0 ? printable(variable("SUDO_USER"), 64) : "",
          .job = printable(ci_job(), 400)};
}

Asker asker_by_hand() {
  // systemd.exec(5): set for all processes of a unit.
  return variable("INVOCATION_ID").empty() ? asker_here() : Asker{};
}

} // namespace safe_deploy
