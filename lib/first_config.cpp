#include "first_config.hpp"

#include "quantity.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

constexpr std::size_t longest_piece = 150; // of a line of at most 199 bytes (ini.hpp)

// KEY = VALUE, in several lines where it is too long for one: a piece that ends with a backslash goes on
// without a space.
std::string entry(std::string_view key, std::string_view value) {
  std::string text = fmt::format("{} = ", key);
  while (value.size() > longest_piece) {
    std::size_t cut = longest_piece;
    while (cut > 1 && (value[cut] == ' ' || value[cut] == ';' || value[cut - 1] == ' ' ||
                       value[cut - 1] == '\\' || (static_cast<unsigned char>(value[cut]) & 0xc0U) == 0x80U))
      --cut;
    text += fmt::format("{}\\\n  ", value.substr(0, cut));
    value.remove_prefix(cut);
  }
  return fmt::format("{}{}\n", text, value);
}

// As parse_duration() reads it.
std::string written(Duration duration) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return milliseconds % 1000 == 0 ? fmt::format("{}s", milliseconds / 1000)
                                  : fmt::format("{}ms", milliseconds);
}

std::string app_section(const AppFacts& facts) {
  const Layout& layout = facts.layout;
  std::string text = "[app]\n";
  text += entry("unit", facts.unit);
  text += "; The symlink that the unit's command goes through. A deploy points it at another release.\n";
  text += entry("link", layout.link);
  text += entry("releases", layout.releases);
  text += "; Which directories there are releases. The newest is the last in version order of the names.\n";
  text += layout.pattern.empty() ? ";pattern = *\n" : entry("pattern", layout.pattern);
  text += "; What a complete release holds, separated by commas: one without is never deployed.\n";
  text += layout.require.empty() ? ";require = bin/server, package.json\n"
                                 : entry("require", fmt::format("{}", fmt::join(layout.require, ", ")));
  text +=
      "; So many good releases are kept; older ones are removed after a deploy that went well.\n;keep = 5\n";
  return text;
}

std::string port_section(const AppFacts& facts) {
  const Config defaults;
  std::string text =
      "\n[port]\n; Free before each start of the unit, and listened on by this very unit after it.\n";
  text += entry("listen", facts.listen);
  text += "; How long a start waits until nobody else holds it.\n";
  text += defaults.free_timeout <= facts.timeout_start
              ? ";free-timeout = 30s\n"
              : entry("free-timeout", written(facts.timeout_start / 2));
  return text;
}

std::string health_section(const AppFacts& facts) {
  const Config defaults;
  const bool limited = facts.timeout_start != without_limit;
  std::string text = "\n[health]\n; How long a start may take until the app is healthy.";
  text += limited ? fmt::format(" Not more than TimeoutStartSec= of the unit, which is {}.\n",
                                format_duration(facts.timeout_start))
                  : std::string("\n");
  text += entry("timeout", written(std::min(defaults.health_timeout, facts.timeout_start)));
  text +=
      "; After so many answers that say no it has failed. Without it: as many as fit into the time.\n"
      ";attempts = 10\n"
      "; The longest pause between two of them.\n"
      ";interval = 1s\n";
  return text;
}

std::string check_section(const AppFacts& facts) {
  constexpr std::string_view json =
      "; What the answer must say, a filter of jq(1) that gives true.\n"
      ";expect-json = .status == \"healthy\"\n"
      "; It is really the new release that answers, where the answer tells.\n"
      ";expect-json = .version == \"${release}\"\n";
  if (facts.url.empty())
    return fmt::format(
        "\n; No health endpoint is known: that the unit listens is all that is asked. With one,\n"
        "; and with what belongs to it:\n;[check answer]\n;when = health, watch, monitor\n"
        ";http = http://127.0.0.1:8080/health\n;expect-status = 200-299\n{}",
        json);
  return fmt::format(
      "\n; Asked after each start, while a release is on probation, and by the monitor.\n"
      "[check answer]\nwhen = health, watch, monitor\n{}; Which status codes are welcome.\n"
      ";expect-status = 200-299\n{}",
      entry("http", facts.url), json);
}

constexpr std::string_view other_sections =
    "\n; Probation: a release that is healthy is watched for so long before it is good, and rolled back when "
    "it\n"
    "; fails meanwhile. 0: good as soon as it is healthy.\n"
    ";[watch]\n"
    ";duration = 0\n"
    "\n; What must be so before a deploy begins. More questions are [check NAME] sections: see "
    "safe-deploy.conf(5).\n"
    ";[preflight]\n"
    "; How full the file system of the releases may be, and how much memory must be available.\n"
    ";disk-used-max = 80%\n"
    ";memory-available-min = 500M\n";

// What the file says is what is known: a name with a comma, a quote or a ';' in it might not be.
bool says(const Config& config, const AppFacts& facts) {
  const auto is_url = [&](const Setting& setting) {
    return setting.key == "http" && setting.value == facts.url;
  };
  const bool url = facts.url.empty() ? config.checks.empty()
                                     : config.checks.size() == 1 &&
                                           std::any_of(config.checks.front().settings.begin(),
                                                       config.checks.front().settings.end(), is_url);
  return url && config.unit == facts.unit && config.link == facts.layout.link &&
         config.releases == facts.layout.releases && config.listen == facts.listen &&
         config.require == facts.layout.require;
}

} // namespace

Result<std::string> first_config(const AppFacts& facts) {
  std::string text = fmt::format(
      "; How {0} is deployed; see safe-deploy.conf(5). Written by 'safe-deploy enable {0}' from what was "
      "running,\n"
      "; and yours to change: it is read anew each time. What is commented out says what counts without "
      "it.\n\n",
      facts.app);
  text += app_section(facts) + port_section(facts) + health_section(facts) + check_section(facts);
  text += other_sections;
  const std::array files{IniFile{facts.app + ".conf", text}};
  auto config = parse_config(facts.app, files);
  if (!config) {
    Error error = config.error();
    error.code = Outcome::no;
    error.problem += ": write the file by hand, see safe-deploy.conf(5)";
    return tl::unexpected<Error>(std::move(error));
  }
  if (!says(*config, facts))
    return fail(Outcome::no, facts.app + ".conf",
                "a name has characters that mean something else there: write the file by hand, see "
                "safe-deploy.conf(5)");
  return text;
}

} // namespace safe_deploy
