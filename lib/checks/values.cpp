#include "checks/values.hpp"

#include "words.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace safe_deploy {

const Setting* Values::find(std::string_view key) const {
  const auto found = std::find_if(section_.settings.begin(), section_.settings.end(),
                                  [&](const Setting& setting) { return setting.key == key; });
  return found == section_.settings.end() ? nullptr : &*found;
}

Result<std::string> Values::expanded(const Setting& setting, Quote quote) const {
  auto value = expand(setting.value, context_, quote);
  if (value) return value;
  return fail(value.error().outcome(), setting.place.text(),
              fmt::format("{}: {}: {}", setting.key, value.error().subject, value.error().problem));
}

Result<std::string> Values::text(std::string_view key, Quote quote) const {
  const Setting* setting = find(key);
  return setting == nullptr ? std::string() : expanded(*setting, quote);
}

Result<std::vector<std::string>> Values::texts(std::string_view key, Quote quote) const {
  std::vector<std::string> all;
  for (const auto& setting : section_.settings) {
    if (setting.key != key) continue;
    auto value = expanded(setting, quote);
    if (!value) return forward_error(value);
    all.push_back(std::move(*value));
  }
  return all;
}

Result<std::vector<std::string>> Values::words(std::string_view key) const {
  const Setting* setting = find(key);
  if (setting == nullptr) return std::vector<std::string>();
  auto words = split_words(setting->value);
  if (!words) return wrong(key, words.error());
  for (auto& word : *words) {
    auto value = expanded({setting->key, word, setting->place}, nullptr);
    if (!value) return forward_error(value);
    word = std::move(*value);
  }
  return words;
}

Result<std::string> Values::secret_file(std::string_view key) const {
  auto source = text(key);
  if (!source || source->empty()) return source;
  auto path = secret_path(*source, context_.credentials);
  if (!path) return wrong(key, path.error());
  return path;
}

std::string Values::place(std::string_view key) const {
  const Setting* setting = find(key);
  return (setting != nullptr ? setting->place : section_.place).text();
}

tl::unexpected<Error> Values::wrong(std::string_view key, const Error& error) const {
  const Outcome outcome = error.outcome() == Outcome::no ? Outcome::no : Outcome::bad_config;
  return fail(outcome, place(key), fmt::format("{}: {}", key, error.text()));
}

Result<std::string> secret_path(std::string_view source, const std::string& credentials) {
  constexpr std::string_view scheme = "credential:";
  if (!source.starts_with(scheme)) return std::string(source);
  const std::string_view name = source.substr(scheme.size());
  if (name.empty() || name.find('/') != std::string_view::npos || name == "." || name == "..")
    return fail(Outcome::usage, std::string(source), "is not credential:NAME");
  if (credentials.empty())
    return fail(Outcome::no, std::string(source), "no credentials were given (LoadCredential= of the unit)");
  return fmt::format("{}/{}", credentials, name);
}

} // namespace safe_deploy
