#include "checks/judges.hpp"

#include "checks/path_values.hpp"
#include "checks/status_ranges.hpp"
#include "checks/word_list.hpp"
#include "escapes.hpp"
#include "name.hpp"
#include "priority.hpp"
#include "quantity.hpp"
#include "regex.hpp"
#include "target.hpp"
#include "text.hpp"
#include "words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace safe_deploy::judge {

namespace {

template <class T>
std::string sentence(const Result<T>& parsed) {
  return parsed ? "" : fmt::format("{} {}", parsed.error().subject, parsed.error().problem);
}

// "x:y: 'y' is not a port": what is wrong is with a part of it.
std::string fault_of(const Result<Target>& parsed) {
  return parsed ? "" : parsed.error().text();
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// The characters of a header's name and of a method: RFC 9110, section 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view punctuation = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_alphanumeric(c) || punctuation.find(c) != std::string_view::npos;
  });
}

struct HeaderParts {
  std::string_view name;
  std::string_view value;
};

std::optional<HeaderParts> split_header(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_token(text.substr(0, colon))) return std::nullopt;
  return HeaderParts{text.substr(0, colon), trim(text.substr(colon + 1))};
}

} // namespace

std::string url(std::string_view value) {
  constexpr const char* wrong = "is not an http or https URL (such as http://127.0.0.1:9000/health)";
  std::string_view rest = value;
  for (const std::string_view scheme : {"http://", "https://"})
    if (value.substr(0, scheme.size()) == scheme) rest = value.substr(scheme.size());
  if (rest.size() == value.size()) return wrong;
  if (value.find_first_of(" \t\\") != std::string_view::npos) return "holds white space or a backslash";
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos)
    return "holds a user's name or password, and a configuration is no place for a secret: use bearer";
  // A host in brackets is an IPv6 address; the port follows the colon behind it.
  const bool bracketed = authority.substr(0, 1) == "[";
  const std::size_t host_end = bracketed ? authority.find(']') : authority.find(':');
  if (bracketed && (host_end == std::string_view::npos || host_end == 1)) return wrong;
  const std::string_view host = authority.substr(0, host_end);
  const std::string_view after = authority.substr(host.size() + (bracketed ? 1 : 0));
  if (host.empty() || (!after.empty() && after.front() != ':')) return wrong;
  return after.empty() || parse_count(after.substr(1), 1, 65535) ? "" : "names no port from 1 to 65535";
}

std::string status_ranges(std::string_view value) {
  return sentence(StatusRanges::parse(value));
}

std::string regex(std::string_view value) {
  return sentence(Regex::compile(value));
}

std::string header(std::string_view value) {
  return split_header(value) ? "" : "is not 'Name: value'";
}

std::string header_pattern(std::string_view value) {
  const auto parts = split_header(value);
  if (!parts || parts->value.empty()) return "is not 'Name: REGEX'";
  return regex(parts->value);
}

std::string http_method(std::string_view value) {
  return is_token(value) ? "" : fmt::format("'{}' is not an HTTP method (such as GET)", printable(value, 40));
}

std::string token_source(std::string_view value) {
  constexpr std::string_view scheme = "credential:";
  // Not repeated: somebody may have written the token itself.
  constexpr const char* wrong =
      "is neither the absolute path of a file that holds the token nor credential:NAME";
  if (value.substr(0, scheme.size()) != scheme) return absolute_path(value).empty() ? "" : wrong;
  // systemd.exec(5), LoadCredential=: a credential's name is a file's name.
  const std::string_view name = value.substr(scheme.size());
  return !name.empty() && name.find('/') == std::string_view::npos && name != "." && name != ".." ? ""
                                                                                                  : wrong;
}

std::string absolute_path(std::string_view value) {
  return sentence(parse_absolute_path(value));
}

std::string command(std::string_view value) {
  const auto words = split_words(value);
  if (!words) return words.error().problem;
  if (!words->empty() && words->front().substr(0, 1) == "/") return "";
  return "does not begin with the absolute path of a program (no shell looks for it, nor sets variables)";
}

std::string yes_or_no(std::string_view value) {
  return sentence(parse_boolean(value));
}

std::string positive_duration(std::string_view value) {
  return sentence(parse_limited_duration(value));
}

std::string positive_size(std::string_view value) {
  const auto parsed = parse_size(value);
  if (!parsed) return sentence(parsed);
  return *parsed > 0 ? "" : fmt::format("'{}' is not a size of more than 0", value);
}

std::string percent(std::string_view value) {
  return sentence(parse_percent(value));
}

std::string positive_number(std::string_view value) {
  const auto parsed = parse_decimal(value);
  if (!parsed) return sentence(parsed);
  return *parsed > 0 ? "" : fmt::format("'{}' is not a number of more than 0", value);
}

std::string file_mode(std::string_view value) {
  return sentence(parse_file_mode(value));
}

std::string file_owner(std::string_view value) {
  return sentence(FileOwner::parse(value));
}

std::string one_of(std::string_view value, std::span<const std::string_view> words) {
  return sentence(parse_word(value, words));
}

// systemd.exec(5): a variable's name is made of letters, digits and '_'; a credential's is a file's name of
// printable ASCII characters without a colon.
std::string environment_names(std::string_view value) {
  const auto allowed = [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '='; };
  for (const auto name : split_list(value)) {
    if (name.empty()) return "an entry of the list is empty";
    if (name.size() > 255 || name == "." || name == ".." || !std::all_of(name.begin(), name.end(), allowed))
      return fmt::format("'{}' is no name of an environment variable or credential", printable(name, 80));
  }
  return "";
}

std::string journal_priority(std::string_view value) {
  return sentence(parse_priority(value));
}

std::string number(std::string_view value) {
  bool digits = false; // of the number, or of its exponent once that has begun
  bool point = false;
  bool exponent = false;
  char before = 'e'; // a sign may stand at the beginning of either
  for (const char c : value) {
    if (c >= '0' && c <= '9') {
      digits = true;
    } else if (c == '.' && !point && !exponent) {
      point = true;
    } else if ((c == 'e' || c == 'E') && digits && !exponent) {
      exponent = true;
      digits = false;
    } else if ((c != '+' && c != '-') || (before | 0x20) != 'e') {
      digits = false;
      break;
    }
    before = c;
  }
  return digits ? "" : "is not a number (such as 0.5, -3 or 1e-3)";
}

std::string unit(std::string_view value) {
  return sentence(parse_unit_name(value));
}

std::string target(std::string_view value) {
  return fault_of(parse_target(value));
}

std::string stream_target(std::string_view value) {
  return fault_of(parse_stream_target(value));
}

std::string escaped(std::string_view value) {
  return sentence(parse_escapes(value));
}

std::string certificate_place(std::string_view value) {
  if (absolute_path(value).empty()) return "";
  const auto target = parse_stream_target(value);
  if (target && (target->kind == Target::Kind::name || target->kind == Target::Kind::address)) return "";
  return fmt::format("'{}' is neither the absolute path of a file nor HOST:PORT", printable(value, 80));
}

std::string host(std::string_view value) {
  if (value.find(':') != std::string_view::npos) return sentence(parse_address(value));
  return parse_target(fmt::format("{}:1", value))
             ? ""
             : fmt::format("'{}' is not a host name", printable(value, 80));
}

} // namespace safe_deploy::judge
