#include "checks/expand.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace safe_deploy {

namespace {

struct Placeholder {
  std::string_view name;
  std::string CheckContext::*value;
  std::string_view unknown; // why the context may not have it
};

constexpr std::array<Placeholder, 3> placeholders{{
    {"app", &CheckContext::app, "the app is not known here"},
    {"release", &CheckContext::release, "no release is deployed"},
    {"link", &CheckContext::link, "[app] link is not set"},
}};

// A value in pieces: plain text, then what stands between `${` and `}`, then the rest.
struct Split {
  std::string_view before;
  std::string_view name;
  std::string_view rest;
  bool closed = false;
};

std::optional<Split> split_at_placeholder(std::string_view value) {
  const std::size_t open = value.find("${");
  if (open == std::string_view::npos) return std::nullopt;
  const std::string_view inside = value.substr(open + 2);
  const std::size_t close = inside.find('}');
  if (close == std::string_view::npos) return Split{value.substr(0, open), inside, "", false};
  return Split{value.substr(0, open), inside.substr(0, close), inside.substr(close + 1), true};
}

const Placeholder* find_placeholder(std::string_view name) {
  const auto* found = std::find_if(placeholders.begin(), placeholders.end(),
                                   [&](const Placeholder& known) { return known.name == name; });
  return found == placeholders.end() ? nullptr : found;
}

std::string judge_split(const Split& split) {
  if (!split.closed) return "'${' is not closed by a '}'";
  if (find_placeholder(split.name) == nullptr)
    return "only ${app}, ${release} and ${link} stand for something";
  return "";
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

} // namespace

bool has_placeholder(std::string_view value) {
  return value.find("${") != std::string_view::npos;
}

std::string judge_placeholders(std::string_view value) {
  for (auto split = split_at_placeholder(value); split; split = split_at_placeholder(split->rest)) {
    std::string problem = judge_split(*split);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string quote_for_json(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted;
}

std::string quote_for_regex(std::string_view text) {
  constexpr std::string_view special = "\\^$.|?*+()[]{}";
  std::string quoted;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

std::string quote_for_url(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (is_unreserved(c))
      quoted += c;
    else
      quoted += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return quoted;
}

Result<std::string> expand(std::string_view value, const CheckContext& context, Quote quote) {
  std::string expanded;
  while (const auto split = split_at_placeholder(value)) {
    const std::string subject = split->closed ? fmt::format("${{{}}}", split->name) : "${";
    const std::string problem = judge_split(*split);
    if (!problem.empty()) return fail(Outcome::bad_config, subject, problem);
    const Placeholder& placeholder = *find_placeholder(split->name);
    const std::string& known = context.*placeholder.value;
    if (known.empty()) {
      const bool could_not_look =
          placeholder.value == &CheckContext::release && !context.release_unknown.empty();
      return fail(Outcome::no, subject,
                  could_not_look ? context.release_unknown : std::string(placeholder.unknown));
    }
    expanded += split->before;
    expanded += quote != nullptr ? quote(known) : known;
    value = split->rest;
  }
  return expanded.append(value);
}

} // namespace safe_deploy
