#pragma once

#include "error.hpp"
#include "report.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// One row of a tool's option table. The table drives the parsing, --help and, through --help, the check of
// the man pages and completions.
struct Option {
  char short_name;            // 0 for none
  std::string_view long_name; // without the dashes
  std::string_view argument;  // its name in the help; empty for an option without one
  std::string_view help;      // may hold \n for a further line
};

struct ToolDescription {
  std::string_view name;
  std::string_view usage;          // "[OPTIONS] TARGET... [-- COMMAND...]"
  std::string_view summary;        // one line
  std::span<const Option> options; // --help and --version are added to every table
  std::string_view epilogue;       // what follows the options in the help; may be empty
  bool takes_command = false;      // `-- COMMAND...`
};

struct Given {
  std::string_view option; // its long name
  std::string value;       // empty for an option without argument
};

struct CommandLine {
  std::vector<Given> options; // in the order given
  std::vector<std::string> arguments;
  std::vector<std::string> command; // what follows `--`, where the tool takes a command

  [[nodiscard]] bool has(std::string_view option) const;
  // The last value given, or `otherwise`.
  [[nodiscard]] std::string value(std::string_view option, std::string_view otherwise = "") const;
  [[nodiscard]] std::vector<std::string> values(std::string_view option) const;
};

// A value's error, told with the option that it was given to: "--rise: '0' is not ...".
template <class T>
Result<T> of_option(std::string_view option, Result<T> parsed) {
  if (parsed) return parsed;
  Error& error = parsed.error();
  error.problem = error.subject + (error.subject.empty() ? "" : " ") + error.problem;
  error.subject = "--" + std::string(option);
  return parsed;
}

// The options that every tool with --app takes.
inline constexpr Option app_option{0, "app", "NAME", "take the settings from the configuration of app NAME"};
inline constexpr Option config_dir_option{0, "config-dir", "DIR",
                                          "where APP.conf is (default /etc/safe-deploy)"};
inline constexpr Option state_dir_option{0, "state-dir", "DIR",
                                         "where the record is (default /var/lib/safe-deploy)"};
inline constexpr Option run_dir_option{0, "run-dir", "DIR",
                                       "where requests are left (default /run/safe-deploy)"};
inline constexpr Option json_option{0, "json", "", "print one JSON object"};
inline constexpr Option quiet_option{'q', "quiet", "", "print errors only"};

// The directories of a run: the option, else the environment, else the default.
struct Directories {
  std::string config;
  std::string state;
  std::string run;
};
Directories directories(const CommandLine& line);
// Where they are if nothing is said: what the units use.
Directories usual_directories();

// The body of every main(): parses, answers --help and --version, runs the tool, prints its error as
// `tool: what: why` and turns everything that can go wrong into the exit code. Catches what libraries throw,
// and a stdout that could not be written (71).
int run_tool(int argc, char** argv, const ToolDescription& tool,
             Result<int> (*run)(const CommandLine&, Reporter&));

// Becomes `command` (execvp). Returns only if that fails: 127 if it was not found, 126 if it cannot be
// executed; the reason is reported.
int become(const std::vector<std::string>& command, Reporter& report);

} // namespace safe_deploy
