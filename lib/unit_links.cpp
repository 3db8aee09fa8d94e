#include "unit_links.hpp"

#include "link.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <memory>

namespace safe_deploy {

namespace {

constexpr int most_links = 40; // as in path_resolution(7)

void follow(const std::string& path, int depth, std::vector<LinkOnWay>& found) {
  if (depth > most_links || path.size() >= PATH_MAX) return;
  std::vector<LinkOnWay> here;
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    struct stat status {};
    if (lstat(prefix.c_str(), &status) < 0) break;
    if (S_ISLNK(status.st_mode)) {
      const auto text = read_link(prefix);
      if (!text || !*text) break;
      std::string rest = end == std::string::npos ? "" : path.substr(end + 1);
      here.push_back({prefix, resolve_target(prefix, **text), std::move(rest)});
    }
    if (end == std::string::npos) break;
  }
  for (const auto& one : here) {
    if (std::any_of(found.begin(), found.end(), [&](const auto& known) { return known.link == one.link; }))
      continue;
    found.push_back(one);
  }
  for (const auto& one : here)
    follow(one.rest.empty() ? one.target : one.target + "/" + one.rest, depth + 1, found);
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_file(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// The symlinks of the system itself: /bin to usr/bin, /var/run to /run, /usr/lib/jvm/default-java, /srv to
// another disk. `previous` is kept beside an app's link, so none is where those are.
bool is_of_system(const LinkOnWay& way) {
  if (directory_of(way.link) == "/" || directory_of(way.target) == "/") return true;
  constexpr std::array<std::string_view, 11> places{"/usr/", "/bin/",     "/sbin/",    "/lib/",
                                                    "/etc/", "/proc/",    "/sys/",     "/dev/",
                                                    "/run/", "/var/run/", "/var/lock/"};
  return !way.link.starts_with("/usr/local/") &&
         std::any_of(places.begin(), places.end(),
                     [&](std::string_view place) { return (way.link + "/").starts_with(place); });
}

// Without "." and "..", which have no place in the configuration.
std::string plain(const std::string& path) {
  const std::string framed = path + "/";
  if (framed.find("/./") == std::string::npos && framed.find("/../") == std::string::npos &&
      framed.find("//") == std::string::npos)
    return path;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// systemd writes a working directory that may be missing as "!PATH".
std::string working_directory(const UnitState& unit) {
  const std::size_t slash = unit.working_directory.find('/');
  std::string path = slash == std::string::npos ? "" : unit.working_directory.substr(slash);
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<std::string> find_link(const UnitState& unit, const std::string& releases) {
  std::vector<std::string> found;
  for (const auto& path : paths_of_start(unit))
    for (const auto& way : links_on_way(path)) {
      if (is_of_system(way) || !is_directory(way.target)) continue;
      if (!releases.empty() && plain(directory_of(plain(way.target))) != plain(releases)) continue;
      if (std::find(found.begin(), found.end(), way.link) == found.end()) found.push_back(way.link);
    }
  if (found.size() > 1) { // a link of that name is meant, whatever else there is
    std::vector<std::string> usual;
    std::copy_if(found.begin(), found.end(), std::back_inserter(usual),
                 [](const std::string& link) { return name_of(link) == "current"; });
    if (usual.size() == 1) found = usual;
  }
  if (found.size() > 1)
    return fail(Outcome::no, unit.name,
                fmt::format("its start goes through several symlinks: name the one that a deploy moves with "
                            "--link ({})",
                            fmt::join(found, ", ")));
  if (found.empty())
    return fail(Outcome::no, unit.name,
                fmt::format("neither its ExecStart= nor its WorkingDirectory= goes through a symlink to a "
                            "release{}{}: let it start what a link leads to "
                            "(ExecStart=/srv/demo/current/server), or name the link with --link",
                            releases.empty() ? "" : " in ", releases));
  return plain(directory_of(found.front())) + "/" + name_of(found.front());
}

// A value of the list `require`, in a line of the configuration.
bool can_be_listed(const std::string& file) {
  return !file.empty() && file.size() < 120 && file.front() != '-' &&
         std::all_of(file.begin(), file.end(),
                     [](unsigned char byte) { return byte > ' ' && byte < 0x7f; }) &&
         file.find_first_of(",;#$\"'\\[]{}()") == std::string::npos &&
         ("/" + file + "/").find("/../") == std::string::npos &&
         ("/" + file + "/").find("/./") == std::string::npos;
}

// What the unit starts, and what that is given to run (node server.js), as far as it is in the release.
std::vector<std::string> named_files(const UnitState& unit, const std::string& link) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& file) {
    if (can_be_listed(file) && is_file(link + "/" + file) &&
        std::find(files.begin(), files.end(), file) == files.end())
      files.push_back(file);
  };
  for (const auto& path : paths_of_start(unit))
    for (const auto& way : links_on_way(path))
      if (way.link == link) add(way.rest);
  const std::string directory = working_directory(unit);
  if (directory == link || directory.starts_with(link + "/"))
    for (const auto& word : words_of(unit.exec_start))
      if (word.front() != '/') add(directory == link ? word : directory.substr(link.size() + 1) + "/" + word);
  constexpr std::size_t enough = 4;
  if (files.size() > enough) files.resize(enough);
  return files;
}

// Where the releases are beside the link, and beside whatever else the directory holds: by how the name of
// the one that runs begins.
std::string pattern_of(const std::string& release) {
  const std::size_t end = std::min(release.find_first_of("0123456789"), release.size());
  const std::string begin = release.substr(0, end);
  if (begin.find_first_of("*?[]\\ ;#") != std::string::npos) return "";
  return begin.empty() ? "[0-9]*" : begin + "*";
}

} // namespace

std::vector<LinkOnWay> links_on_way(const std::string& path) {
  std::vector<LinkOnWay> found;
  if (!path.empty() && path.front() == '/') follow(path, 0, found);
  return found;
}

std::vector<std::string> paths_of_start(const UnitState& unit) {
  std::vector<std::string> paths;
  if (auto directory = working_directory(unit); !directory.empty()) paths.push_back(std::move(directory));
  for (const auto& word : words_of(unit.exec_start))
    for (std::size_t slash = word.find('/'); slash != std::string::npos; slash = word.find('/', slash + 1)) {
      const bool begins = slash == 0 || std::string_view("=:'\"").find(word[slash - 1]) != std::string::npos;
      if (!begins) continue;
      paths.push_back(word.substr(slash, word.find_first_of("'\";:", slash) - slash));
    }
  return paths;
}

bool starts_through(const UnitState& unit, const std::string& link) {
  struct stat wanted {};
  const bool exists = lstat(link.c_str(), &wanted) == 0;
  for (const auto& path : paths_of_start(unit)) {
    if (path == link || path.starts_with(link + "/")) return true; // also where there is no link yet
    for (const auto& way : links_on_way(path)) {
      struct stat status {};
      if (exists && lstat(way.link.c_str(), &status) == 0 && status.st_dev == wanted.st_dev &&
          status.st_ino == wanted.st_ino)
        return true;
    }
  }
  return false;
}

Result<Layout> find_layout(const UnitState& unit, const std::string& link, const std::string& releases) {
  Layout layout;
  layout.link = link;
  if (link.empty()) {
    auto found = find_link(unit, releases);
    if (!found) return forward_error(found);
    layout.link = *std::move(found);
  }
  auto text = read_link(layout.link);
  if (!text) return forward_error(text);
  layout.releases = releases;
  if (*text) {
    const std::string target = plain(resolve_target(layout.link, **text));
    if (releases.empty()) layout.releases = directory_of(target);
    if (plain(layout.releases) == plain(directory_of(target))) layout.current = name_of(target);
  }
  if (layout.releases.empty())
    return fail(Outcome::no, layout.link,
                "does not exist, so that it tells nothing of the releases: name their directory with "
                "--releases");
  if (!is_directory(layout.releases))
    return fail(Outcome::no, layout.releases, "is no directory: name that of the releases with --releases");
  if (plain(layout.releases) == plain(directory_of(layout.link)) && !layout.current.empty())
    layout.pattern = pattern_of(layout.current);
  layout.require = named_files(unit, layout.link);
  return layout;
}

} // namespace safe_deploy
