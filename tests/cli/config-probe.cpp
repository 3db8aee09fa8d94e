// Shows what the parser of the configuration knows, to tests.
//   config-probe          one line a key: SECTION<tab>KEY<tab>DEFAULT<tab>"repeats" or nothing
//   config-probe FILE...  parses an app's file and its drop-ins; says what is wrong, with exit code 1

#include "config.hpp"

#include <fmt/format.h>

int main(int argc, char** argv) {
  using namespace safe_deploy;
  if (argc == 1) {
    for (const auto& key : known_keys())
      fmt::print("{}\t{}\t{}\t{}\n", key.section, key.key, key.otherwise, key.repeats ? "repeats" : "");
    return 0;
  }
  std::vector<IniFile> files;
  for (int i = 1; i < argc; ++i) {
    auto file = read_ini_file(argv[i]);
    if (!file) {
      fmt::print("{}\n", file.error().text());
      return 1;
    }
    files.push_back(*std::move(file));
  }
  const auto config = parse_config("demo", files);
  if (!config) fmt::print("{}\n", config.error().text());
  return config ? 0 : 1;
}
