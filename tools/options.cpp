#include "options.hpp"

#include "name.hpp"

#include <fmt/format.h>
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

// The C++ runtime's own handler prints the name of an exception that nobody catches, and for that brings 45
// kB of demangler with it. run_tool() catches what is thrown.
namespace __gnu_cxx {
void __verbose_terminate_handler() {
  std::abort();
}
} // namespace __gnu_cxx

namespace safe_deploy {

namespace {

constexpr Option help_option{'h', "help", "", "show this help"};
constexpr Option version_option{0, "version", "", "show the version"};

std::vector<Option> all_options(const ToolDescription& tool) {
  std::vector<Option> options(tool.options.begin(), tool.options.end());
  options.push_back(help_option);
  options.push_back(version_option);
  return options;
}

std::string help_text(const ToolDescription& tool) {
  std::string text = fmt::format("Usage: {} {}\n{}\n\n", tool.name, tool.usage, tool.summary);
  const auto options = all_options(tool);
  const auto left_side = [](const Option& option) {
    return fmt::format("  {}--{}{}{}",
                       option.short_name != 0 ? fmt::format("-{}, ", option.short_name) : "    ",
                       option.long_name, option.argument.empty() ? "" : " ", option.argument);
  };
  std::size_t width = 0;
  for (const auto& option : options) width = std::max(width, left_side(option).size());
  for (const auto& option : options) {
    std::string_view help = option.help;
    std::string left = left_side(option);
    while (!help.empty()) {
      const std::size_t end = std::min(help.find('\n'), help.size());
      text += fmt::format("{:<{}}  {}\n", left, width, help.substr(0, end));
      left.clear();
      help.remove_prefix(std::min(end + 1, help.size()));
    }
  }
  if (!tool.epilogue.empty()) text += fmt::format("\n{}", tool.epilogue);
  return text;
}

// The word of the command line that getopt_long could not make sense of.
std::string offending_word(char** argv, int index_before) {
  if (optopt != 0 && std::strncmp(argv[index_before], "--", 2) != 0)
    return fmt::format("-{}", static_cast<char>(optopt));
  const std::string word = argv[index_before];
  return word.substr(0, word.find('='));
}

Result<CommandLine> parse(int argc, char** argv, const ToolDescription& tool,
                          const std::vector<Option>& options) {
  // In getopt's "-" mode the words that are no options come in their place as the value of option 1, so that
  // what follows `--` can be told from what precedes it.
  std::string short_options = "-:";
  std::vector<option> long_options;
  constexpr int first_long = 256;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const int has_argument = options[i].argument.empty() ? no_argument : required_argument;
    long_options.push_back(
        {options[i].long_name.data(), has_argument, nullptr, first_long + static_cast<int>(i)});
    if (options[i].short_name == 0) continue;
    short_options += options[i].short_name;
    if (has_argument == required_argument) short_options += ':';
  }
  long_options.push_back({nullptr, 0, nullptr, 0});

  CommandLine line;
  opterr = 0;
  optind = 0;
  for (;;) {
    const int index_before = std::max(optind, 1);
    optopt = 0;
    const int code = getopt_long(argc, argv, short_options.c_str(), long_options.data(), nullptr);
    if (code == -1) break;
    if (code == 1) {
      line.arguments.emplace_back(optarg);
      continue;
    }
    if (code == ':') return fail(Outcome::usage, offending_word(argv, index_before), "needs a value");
    if (code == '?') {
      const std::string word = offending_word(argv, index_before);
      const bool takes_none = std::any_of(options.begin(), options.end(), [&](const Option& option) {
        return option.argument.empty() && word == fmt::format("--{}", option.long_name);
      });
      return fail(Outcome::usage, word, takes_none ? "takes no value" : "no such option");
    }
    const auto found = std::find_if(options.begin(), options.end(), [&](const Option& option) {
      return option.short_name == code || first_long + (&option - options.data()) == code;
    });
    line.options.push_back({found->long_name, optarg != nullptr ? optarg : ""});
  }
  auto& rest = tool.takes_command ? line.command : line.arguments;
  for (int i = optind; i < argc; ++i) rest.emplace_back(argv[i]);
  if (tool.takes_command && line.command.empty() && argc > 1 && std::strcmp(argv[argc - 1], "--") == 0)
    return fail(Outcome::usage, "--", "no command follows");
  return line;
}

// What was printed must have arrived: an answer that is lost on a full disk is no answer.
bool flush_stdout() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

int run_parsed(int argc, char** argv, const ToolDescription& tool, Reporter& report,
               Result<int> (*run)(const CommandLine&, Reporter&)) {
  const auto options = all_options(tool);
  auto line = parse(argc, argv, tool, options);
  Result<int> result = 0;
  if (!line) {
    result = forward_error(line);
  } else if (line->has("help")) {
    fmt::print("{}", help_text(tool));
  } else if (line->has("version")) {
    fmt::print("{} (safe-deploy) " SAFE_DEPLOY_VERSION "\n", tool.name);
  } else {
    report.set_quiet(line->has("quiet"));
    result = run(*line, report);
  }
  if (!result) {
    report.say(Priority::error, printable(result.error().text(), 4096)); // one line, whatever it quotes
    if (result.error().outcome() == Outcome::usage)
      report.say(Priority::info, fmt::format("try '{} --help'", tool.name));
    return static_cast<int>(result.error().outcome());
  }
  if (!flush_stdout()) {
    report.say(Priority::error, fmt::format("standard output: cannot write: {}", std::strerror(errno)));
    return static_cast<int>(Outcome::os_error);
  }
  return *result;
}

std::string directory(const CommandLine& line, std::string_view option, const char* variable,
                      std::string_view otherwise) {
  if (line.has(option)) return line.value(option);
  const char* value = std::getenv(variable);
  return value != nullptr && *value != 0 ? value : std::string(otherwise);
}

} // namespace

bool CommandLine::has(std::string_view option) const {
  return std::any_of(options.begin(), options.end(),
                     [&](const Given& given) { return given.option == option; });
}

std::string CommandLine::value(std::string_view option, std::string_view otherwise) const {
  const auto found = std::find_if(options.rbegin(), options.rend(),
                                  [&](const Given& given) { return given.option == option; });
  return found == options.rend() ? std::string(otherwise) : found->value;
}

std::vector<std::string> CommandLine::values(std::string_view option) const {
  std::vector<std::string> values;
  for (const auto& given : options)
    if (given.option == option) values.push_back(given.value);
  return values;
}

Directories directories(const CommandLine& line) {
  const Directories usual = usual_directories();
  return {directory(line, "config-dir", "SAFE_DEPLOY_CONFIG_DIR", usual.config),
          directory(line, "state-dir", "SAFE_DEPLOY_STATE_DIR", usual.state),
          directory(line, "run-dir", "SAFE_DEPLOY_RUN_DIR", usual.run)};
}

Directories usual_directories() {
  return {"/etc/safe-deploy", "/var/lib/safe-deploy", "/run/safe-deploy"};
}

int run_tool(int argc, char** argv, const ToolDescription& tool,
             Result<int> (*run)(const CommandLine&, Reporter&)) {
  Reporter report{std::string(tool.name)};
  try {
    return run_parsed(argc, argv, tool, report, run);
  } catch (const std::exception& error) {
    report.say(Priority::error, fmt::format("unexpected: {}", error.what()));
    return static_cast<int>(Outcome::os_error);
  }
}

int become(const std::vector<std::string>& command, Reporter& report) {
  report.wipe_live();
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  (void)std::fflush(stdout);
  execvp(argv[0], argv.data());
  const int error_number = errno;
  report.say(Priority::error, fmt::format("{}: cannot execute: {}", command[0], std::strerror(error_number)));
  return error_number == ENOENT ? 127 : 126;
}

} // namespace safe_deploy
