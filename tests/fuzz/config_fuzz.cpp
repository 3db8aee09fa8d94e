#include "checks/expand.hpp"
#include "checks/kinds.hpp"
#include "config.hpp"
#include "fuzz.hpp"
#include "name.hpp"

#include <algorithm>

using namespace safe_deploy;

namespace {

// Lines of "%%" part an app's file from its drop-ins.
std::vector<IniFile> split(std::string_view input) {
  constexpr std::string_view separator = "\n%%\n";
  std::vector<IniFile> files;
  for (;;) {
    const std::size_t end = std::min(input.find(separator), input.size());
    files.push_back({std::to_string(files.size()) + ".conf", std::string(input.substr(0, end))});
    if (end == input.size()) return files;
    input.remove_prefix(end + separator.size());
  }
}

unsigned lines_of(const std::string& text) {
  return static_cast<unsigned>(std::count(text.begin(), text.end(), '\n')) + 1;
}

void verify(const Place& place, const std::vector<IniFile>& files) {
  const auto file =
      std::find_if(files.begin(), files.end(), [&](const IniFile& one) { return one.path == place.file; });
  fuzz_verify(file != files.end() && place.line >= 1 && place.line <= lines_of(file->text));
}

void verify(const CheckSection& check, const std::vector<IniFile>& files) {
  const Kind* kind = find_check_kind(check.kind);
  fuzz_verify(kind != nullptr && !check.settings.empty() && check.settings.front().key == check.kind);
  fuzz_verify(check.preflight || check.health || check.watch || check.monitor);
  verify(check.place, files);
  CheckContext context;
  context.app = "demo";
  context.release = "v1";
  context.link = "/srv/demo/current";
  for (const auto& setting : check.settings) {
    const KindKey* key = kind->find_key(setting.key);
    fuzz_verify(key != nullptr && !setting.value.empty());
    verify(setting.place, files);
    // What was let through can be expanded; where there is nothing to expand it stays as it is.
    const auto expanded = expand(setting.value, context);
    fuzz_verify(expanded.has_value() && (has_placeholder(setting.value) || *expanded == setting.value));
  }
}

} // namespace

void fuzz(std::string_view input) {
  const auto files = split(input);
  const auto config = parse_config("demo", files);
  if (!config) {
    const std::string said = config.error().text();
    fuzz_verify(config.error().outcome() == Outcome::bad_config);
    fuzz_verify(is_utf8(said) && said == printable(said, 1200)); // it goes to terminals
    fuzz_verify(said.find(".conf") != std::string::npos);
    return;
  }
  fuzz_verify(parse_unit_name(config->unit).has_value());
  fuzz_verify(config->health_interval > Duration::zero());
  for (const auto& check : config->checks) verify(check, files);
}
