#include "config.hpp"

#include "checks/expand.hpp"
#include "checks/kinds.hpp"
#include "checks/standard_names.hpp"
#include "config_keys.hpp"
#include "name.hpp"
#include "text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace safe_deploy {

namespace {

constexpr std::string_view check_prefix = "check ";

template <class Keys>
const auto* find_named(const Keys& keys, std::string_view name) {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const auto& one) { return one.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

template <class Keys>
std::vector<std::string_view> names_of(const Keys& keys) {
  std::vector<std::string_view> names;
  for (const auto& key : keys) names.push_back(key.name);
  return names;
}

// ---- What to say about a key that is not known.

// The number of characters to change, add or leave out (Levenshtein).
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t change = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, change}));
    }
  }
  return row.back();
}

std::string meant(std::string_view wrong, const std::vector<std::string_view>& known) {
  const auto nearest = std::min_element(known.begin(), known.end(), [&](auto left, auto right) {
    return distance(wrong, left) < distance(wrong, right);
  });
  if (nearest != known.end() && distance(wrong, *nearest) <= 2)
    return fmt::format("did you mean '{}'?", *nearest);
  return "";
}

std::string suggest(std::string_view wrong, const std::vector<std::string_view>& known) {
  const std::string meant_one = meant(wrong, known);
  return meant_one.empty() ? fmt::format("there are {}", fmt::join(known, ", ")) : meant_one;
}

std::vector<std::string_view> all_check_keys() {
  std::vector<std::string_view> names = names_of(check_keys());
  for (const auto& kind : check_kinds())
    for (const auto& key : kind.keys) names.push_back(key.name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// All keys of all kinds are too many to tell.
std::string suggest_check_key(std::string_view wrong, const Kind* kind) {
  auto known = names_of(check_keys());
  if (kind == nullptr) {
    const std::string meant_one = meant(wrong, all_check_keys());
    return meant_one.empty()
               ? fmt::format("there are {}, and those of each kind of check", fmt::join(known, ", "))
               : meant_one;
  }
  const auto own = names_of(kind->keys);
  known.insert(known.begin(), own.begin(), own.end());
  return suggest(wrong, known);
}

// ---- The files of an app, merged.

struct Item {
  std::string key;
  std::string value;
  std::vector<IniPiece> pieces;
  Place place;
  std::size_t file; // which of the files it is from
};

struct Section {
  std::string name;
  Place place; // of its first header
  std::vector<Item> items;
};

Result<std::vector<Section>> read_sections(std::span<const IniFile> files) {
  std::vector<Section> sections;
  std::map<std::string, std::size_t> index;
  for (std::size_t file = 0; file < files.size(); ++file) {
    auto parsed = parse_ini(files[file]);
    if (!parsed) return forward_error(parsed);
    for (auto& from : *parsed) {
      const auto [known, is_new] = index.emplace(from.name, sections.size());
      if (is_new) sections.push_back({from.name, from.place, {}});
      for (auto& entry : from.entries)
        sections[known->second].items.push_back(
            {entry.key, entry.value(), std::move(entry.pieces), entry.place, file});
    }
  }
  return sections;
}

// An indented line that looks like a key of its own was not meant to continue the value before it.
Result<void> judge_indentation(const Item& item, const std::vector<std::string_view>& known) {
  for (std::size_t i = 1; i < item.pieces.size(); ++i) {
    const auto& [text, line] = item.pieces[i];
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string_view word = trim(std::string_view(text).substr(0, equals));
    const bool assigns = equals < text.size() && text.substr(equals, 2) != "==";
    const bool header =
        text.front() == '[' && text.back() == ']' &&
        (find_named(plain_sections(), std::string_view(text).substr(1, text.size() - 2)) != nullptr ||
         text.substr(1, check_prefix.size()) == check_prefix);
    if (header || (assigns && std::find(known.begin(), known.end(), word) != known.end()))
      return fail_at(
          {item.place.file, line},
          fmt::format("the line is indented, and so continues the value of '{}': take the indentation away",
                      item.key));
  }
  return {};
}

template <class Suggest>
Result<void> judge_keys(const Section& section, const std::vector<std::string_view>& known,
                        Suggest suggest_for) {
  for (const auto& item : section.items) {
    if (std::find(known.begin(), known.end(), item.key) == known.end())
      return fail_at(item.place, fmt::format("unknown key '{}' in [{}]; {}", item.key, section.name,
                                             suggest_for(item.key)));
    if (auto judged = judge_indentation(item, known); !judged) return judged;
  }
  return {};
}

// A key with an empty value takes back what earlier files say of it; all that they say in this section where
// `takes_all(item, kept)` says so.
template <class TakesAll>
Result<void> take_back(Section& section, TakesAll takes_all) {
  std::vector<Item> kept;
  for (auto& item : section.items) {
    if (!item.value.empty()) {
      kept.push_back(std::move(item));
      continue;
    }
    const bool all = takes_all(item, kept);
    const auto forgotten = std::remove_if(kept.begin(), kept.end(), [&](const Item& earlier) {
      return earlier.file < item.file && (all || earlier.key == item.key);
    });
    if (forgotten == kept.end())
      return fail_at(
          item.place,
          item.file == 0
              ? fmt::format("'{}' has no value", item.key)
              : fmt::format("'{}' has no value, and no earlier file has one to take back", item.key));
    kept.erase(forgotten, kept.end());
  }
  section.items = std::move(kept);
  return {};
}

// Of a key that does not repeat, the last file's value counts; twice in one file is a mistake.
template <class Repeats>
Result<void> override_earlier(Section& section, Repeats repeats) {
  std::vector<Item> kept;
  for (auto& item : section.items) {
    const auto earlier =
        std::find_if(kept.begin(), kept.end(), [&](const Item& one) { return one.key == item.key; });
    if (earlier != kept.end() && !repeats(item.key)) {
      if (earlier->file == item.file)
        return fail_at(item.place, fmt::format("'{}' is set in line {} already, and does not repeat",
                                               item.key, earlier->place.line));
      kept.erase(earlier);
    }
    kept.push_back(std::move(item));
  }
  section.items = std::move(kept);
  return {};
}

// ---- [check NAME]

// In a value of several lines, a '#' would hide the lines that follow, since they become one.
Result<void> judge_filter(const Item& item) {
  char quote = 0;
  for (const auto& piece : item.pieces) {
    if (&piece == &item.pieces.back()) break;
    for (std::size_t i = 0; i < piece.text.size(); ++i) {
      const char c = piece.text[i];
      if (quote != 0 && c == '\\')
        ++i;
      else if (c == '"')
        quote = quote == 0 ? c : '\0';
      else if (quote == 0 && c == '#')
        return fail_at({item.place.file, piece.line},
                       "a '#' begins a comment in jq, which would hide the lines that follow");
    }
  }
  return {};
}

// The kind of a check: that of its keys which is a kind's own; nothing if there is none, or more than one. (A
// kind may have a key with the name of another kind.)
const Kind* sole_kind(std::span<const Item> items) {
  const auto is_kind = [](const Item& item) { return find_check_kind(item.key) != nullptr; };
  for (const auto& item : items) {
    const Kind* kind = find_check_kind(item.key);
    const auto explained = [&](const Item& other) {
      return !is_kind(other) || kind->find_key(other.key) != nullptr;
    };
    if (kind != nullptr && std::all_of(items.begin(), items.end(), explained)) return kind;
  }
  return nullptr;
}

tl::unexpected<Error> no_sole_kind(const Section& section) {
  std::vector<const Item*> named;
  for (const auto& item : section.items)
    if (find_check_kind(item.key) != nullptr) named.push_back(&item);
  if (named.empty())
    return fail_at(section.place, fmt::format("[{}] does not say what to check: it needs one of {}",
                                              section.name, fmt::join(names_of(check_kinds()), ", ")));
  const Item& first = *named.front();
  const Item& other =
      **std::find_if(named.begin(), named.end(), [&](auto* item) { return item->key != first.key; });
  return fail_at(other.place, fmt::format("'{}' and '{}' ({}) in [{}]: a check has one kind", other.key,
                                          first.key, first.place.text(), section.name));
}

Result<void> judge_check_name(const Section& section) {
  const auto name = std::string_view(section.name).substr(check_prefix.size());
  if (std::find(standard_check_names.begin(), standard_check_names.end(), name) != standard_check_names.end())
    return fail_at(section.place,
                   fmt::format("[{}]: '{}' is the name of a check that always exists", section.name, name));
  if (parse_app_name(name)) return {};
  return fail_at(section.place,
                 fmt::format("[{}]: a check's name is made of letters, digits and _.@-, and begins "
                             "with a letter or digit",
                             section.name));
}

// What is wrong with a value of the kind's own keys.
std::string judge_setting(const KindKey& key, std::string_view value, const Config& config) {
  if (!has_placeholder(value)) return key.judge != nullptr ? key.judge(value) : "";
  std::string problem = judge_placeholders(value);
  if (problem.empty() && config.link.empty() && value.find("${link}") != std::string_view::npos)
    return "${link} stands for nothing, since [app] link is not set";
  return problem;
}

Result<void> take_check_item(const Item& item, const Kind& kind, const Config& config, CheckSection& check) {
  std::string problem;
  if (const auto* common = find_named(check_keys(), item.key)) {
    problem = common->take(check, item.value);
  } else if (const KindKey* key = kind.find_key(item.key)) {
    if (key->filter)
      if (auto judged = judge_filter(item); !judged) return judged;
    problem = judge_setting(*key, item.value, config);
    const auto where = item.key == kind.name ? check.settings.begin() : check.settings.end();
    check.settings.insert(where, {item.key, item.value, item.place});
  } else {
    return fail_at(item.place, fmt::format("'{}' is no key of a check of kind '{}', which takes {}", item.key,
                                           kind.name, fmt::join(names_of(kind.keys), ", ")));
  }
  if (problem.empty()) return {};
  return fail_at(item.place, fmt::format("{}: {}", item.key, problem));
}

// Nothing if a later file takes the check back.
Result<std::optional<CheckSection>> parse_check(Section& section, const Config& config) {
  if (auto judged = judge_check_name(section); !judged) return forward_error(judged);
  const auto suggest_for = [&](std::string_view key) {
    return suggest_check_key(key, sole_kind(section.items));
  };
  if (auto judged = judge_keys(section, all_check_keys(), suggest_for); !judged) return forward_error(judged);
  const bool said_something = !section.items.empty();
  auto taken_back = take_back(section, [](const Item& item, std::span<const Item> kept) {
    const auto same_file = std::find_if(kept.begin(), kept.end(),
                                        [&](const Item& earlier) { return earlier.file == item.file; });
    const Kind* kind = sole_kind({kept.begin(), same_file});
    return kind != nullptr && kind->name == item.key;
  });
  if (!taken_back) return forward_error(taken_back);
  if (said_something && section.items.empty()) return std::optional<CheckSection>();

  const Kind* kind = sole_kind(section.items);
  if (kind == nullptr) return no_sole_kind(section);
  auto overridden = override_earlier(section, [&](std::string_view name) {
    const KindKey* key = kind->find_key(name);
    return key != nullptr && key->repeats;
  });
  if (!overridden) return forward_error(overridden);

  CheckSection check;
  check.name = section.name.substr(check_prefix.size());
  check.kind = kind->name;
  check.place = section.place;
  for (const auto& item : section.items)
    if (auto taken = take_check_item(item, *kind, config, check); !taken) return forward_error(taken);
  if (!check.preflight && !check.health && !check.watch && !check.monitor) check.preflight = true;
  return std::optional(std::move(check));
}

// ---- The other sections, and the whole

// Where each key of the plain sections was set: "link" of [app] as "app.link".
using KeyPlaces = std::map<std::string, Place, std::less<>>;

Result<void> parse_plain(Section& section, std::span<const Key<Config>> keys, Config& config,
                         KeyPlaces& places) {
  const auto known = names_of(keys);
  const auto suggest_for = [&](std::string_view key) { return suggest(key, known); };
  if (auto judged = judge_keys(section, known, suggest_for); !judged) return judged;
  if (auto taken = take_back(section, [](auto&&...) { return false; }); !taken) return taken;
  if (auto overridden = override_earlier(section, [](auto&&) { return false; }); !overridden)
    return overridden;
  for (const auto& item : section.items) {
    std::string problem = has_placeholder(item.value) ? "${...} stands for something in checks only"
                                                      : find_named(keys, item.key)->take(config, item.value);
    if (!problem.empty()) return fail_at(item.place, fmt::format("{}: {}", item.key, problem));
    places.emplace(fmt::format("{}.{}", section.name, item.key), item.place);
  }
  return {};
}

// What no key can tell alone.
Result<void> judge_whole(Config& config, const KeyPlaces& places) {
  if (config.unit.empty()) {
    const auto& app_keys = find_named(plain_sections(), "app")->keys;
    const std::string problem = find_named(app_keys, "unit")->take(config, config.app + ".service");
    if (!problem.empty())
      return fail_at({config.file, 0}, fmt::format("[app] unit must be set, since its default {}", problem));
  }
  if (config.link.empty() || config.releases.empty()) return {};
  const Place& place = places.find("app.link")->second;
  if (config.link == config.releases)
    return fail_at(place,
                   "link: is the directory of the releases itself; it must be the symlink that names one");
  const std::string below = config.releases + "/";
  if (config.link.compare(0, below.size(), below) == 0 &&
      config.link.find('/', below.size()) != std::string::npos)
    return fail_at(place, fmt::format("link: '{}' is inside a release", config.link));
  return {};
}

bool is_check(const Section& section) {
  return section.name.compare(0, check_prefix.size(), check_prefix) == 0;
}

Result<void> parse_plain_sections(std::vector<Section>& sections, Config& config) {
  KeyPlaces places;
  for (auto& section : sections) {
    if (is_check(section)) continue;
    const auto* plain = find_named(plain_sections(), section.name);
    if (plain == nullptr)
      return fail_at(section.place, fmt::format("unknown section [{}]; there are [{}] and [check NAME]",
                                                section.name, fmt::join(names_of(plain_sections()), "], [")));
    if (auto parsed = parse_plain(section, plain->keys, config, places); !parsed) return parsed;
  }
  return judge_whole(config, places);
}

} // namespace

Result<void> Config::needs_releases() const {
  if (!link.empty() && !releases.empty()) return {};
  return fail(Outcome::bad_config, file,
              fmt::format("[app] {} is not set", link.empty() ? "link" : "releases"));
}

Result<Config> parse_config(const std::string& app, std::span<const IniFile> files) {
  Config config;
  config.app = app;
  if (!files.empty()) config.file = files.front().path;
  auto sections = read_sections(files);
  if (!sections) return forward_error(sections);
  if (auto parsed = parse_plain_sections(*sections, config); !parsed) return forward_error(parsed);
  for (auto& section : *sections) {
    if (!is_check(section)) continue;
    auto check = parse_check(section, config);
    if (!check) return forward_error(check);
    if (*check) config.checks.push_back(**std::move(check));
  }
  return config;
}

} // namespace safe_deploy
