#include "configure.hpp"

#include "checks/kinds.hpp"
#include "command.hpp"
#include "directory.hpp"
#include "file.hpp"
#include "first_config.hpp"
#include "link.hpp"
#include "name.hpp"
#include "process.hpp"
#include "sockets.hpp"
#include "target.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace safe_deploy::command {

namespace {

constexpr std::array<std::string_view, 5> describing{"url", "port", "releases", "link", "unit"};

// TimeoutStartSec= of limits.conf.
constexpr Duration limits_start = std::chrono::seconds(60);

// --- Where it listens

std::string unit_of(const Socket& socket) {
  const HeldSocket held{socket.inode, socket.cgroup, socket.uid};
  std::string unit = find_holder_unit(held).unit;
  return unit.empty() ? find_holder(held).unit : unit;
}

// The ports that the unit listens on now, each as [port] listen takes it: with the address where there is but
// one, which is not the wildcard.
Result<std::map<std::uint16_t, std::string>> listened_ports(const std::string& unit) {
  Sockets tables;
  auto all = tables.on_port(Protocol::tcp, 0, listening_states);
  if (!all) return forward_error(all);
  std::map<std::uint16_t, std::set<Address>> addresses;
  for (const auto& socket : *all)
    if (unit_of(socket) == unit) addresses[socket.local.port].insert(socket.local.address.unmapped());
  std::map<std::uint16_t, std::string> ports;
  for (const auto& [port, on] : addresses)
    ports[port] =
        on.size() == 1 && !on.begin()->is_any() ? Endpoint{*on.begin(), port}.text() : std::to_string(port);
  return ports;
}

std::string joined(const std::map<std::uint16_t, std::string>& ports) {
  std::vector<std::string> texts;
  texts.reserve(ports.size());
  for (const auto& [port, text] : ports) texts.push_back(text);
  return fmt::format("{}", fmt::join(texts, ", "));
}

Result<std::string> listen_of(const CommandLine& line, const UnitState& unit, Reporter& report) {
  const bool named = line.has("port");
  Target target;
  if (named) {
    auto parsed = of_option("port", parse_target(line.value("port")));
    if (!parsed) return forward_error(parsed);
    target = *std::move(parsed);
  }
  if (unit.active_state != "active") {
    if (named) return target.text;
    return fail(Outcome::no, unit.name,
                "is not running, so that its port cannot be seen: start it, or name the port with --port");
  }
  auto ports = listened_ports(unit.name);
  if (!named) {
    if (!ports) return forward_error(ports);
    if (ports->empty())
      return fail(Outcome::no, unit.name, "listens on no TCP port: name the one that it serves with --port");
    if (ports->size() > 1)
      return fail(
          Outcome::no, unit.name,
          fmt::format("listens on several ports: name the one that counts with --port ({})", joined(*ports)));
    return ports->begin()->second;
  }
  if (target.is_unix() || target.protocol != Protocol::tcp || !ports) return target.text;
  const auto found = ports->find(target.port);
  if (found == ports->end()) {
    report.say(Priority::warning,
               fmt::format("{} does not listen on port {} now: {}", unit.name, target.port,
                           ports->empty() ? "it listens on no TCP port" : "it does on " + joined(*ports)));
    return target.text;
  }
  return target.kind == Target::Kind::port ? found->second : target.text;
}

// --- What else is known

Result<std::string> url_of(const CommandLine& line, const std::string& listen, Reporter& report) {
  const std::string url = line.value("url");
  if (!line.has("url")) {
    report.say(Priority::warning, fmt::format("no --url, so no health check is written: that {} is listened "
                                              "on is all that is asked of a release",
                                              listen));
    return url;
  }
  const KindKey& key = find_check_kind("http")->keys.front();
  if (const std::string problem = key.judge == nullptr ? "" : key.judge(url); !problem.empty())
    return fail(Outcome::usage, "--url", problem);
  return url;
}

Result<std::string> path_of_option(const CommandLine& line, std::string_view option) {
  std::string path = line.value(option);
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (line.has(option) && (path.empty() || path.front() != '/'))
    return fail(Outcome::usage, fmt::format("--{}", option), fmt::format("'{}' is no absolute path", path));
  return path;
}

} // namespace

bool asks_for_configuration(const CommandLine& line) {
  return std::any_of(describing.begin(), describing.end(),
                     [&](std::string_view option) { return line.has(option); });
}

std::string configuration_file(const CommandLine& line, const std::string& app) {
  return fmt::format("{}/{}.conf", directories(line).config, app);
}

Result<std::string> configured_unit(const CommandLine& line, const std::string& app) {
  return of_option("unit", parse_unit_name(service_name(line.value("unit", app))));
}

Result<std::string> compose_configuration(const CommandLine& line, const std::string& app,
                                          const UnitState& unit, Reporter& report) {
  auto link = path_of_option(line, "link");
  if (!link) return forward_error(link);
  auto releases = path_of_option(line, "releases");
  if (!releases) return forward_error(releases);
  auto layout = find_layout(unit, *link, *releases);
  if (!layout) return forward_error(layout);
  auto listen = listen_of(line, unit, report);
  if (!listen) return forward_error(listen);
  auto url = url_of(line, *listen, report);
  if (!url) return forward_error(url);
  return first_config({.app = app,
                       .unit = unit.name,
                       .layout = *std::move(layout),
                       .listen = *std::move(listen),
                       .url = *std::move(url),
                       .timeout_start = line.has("limits") ? limits_start : unit.timeout_start});
}

Result<void> write_configuration(const std::string& file, const std::string& text) {
  struct stat status {};
  if (lstat(file.c_str(), &status) == 0)
    return fail(Outcome::no, file, "is there by now, and is not written over");
  const std::string path = link_directory(file);
  if (mkdir(path.c_str(), 0755) < 0 && errno != EEXIST)
    return fail_errno(path, "cannot create the directory");
  auto directory = open_directory(path);
  if (!directory) return forward_error(directory);
  return replace_file_at(directory->get(), file.substr(file.rfind('/') + 1), file, text, 0644);
}

} // namespace safe_deploy::command
