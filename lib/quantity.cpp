#include "quantity.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace safe_deploy {

namespace {

struct Number {
  double value;
  std::string_view rest;
};

// A plain decimal: digits, perhaps a point and digits; at most 18 of them without leading zeros. No sign,
// exponent, "inf" or "nan". (std::from_chars for double would do, and add 24 kB to each tool.)
std::optional<Number> take_decimal(std::string_view text) {
  constexpr std::uint64_t most = 99'999'999'999'999'999;
  std::uint64_t digits = 0;
  double scale = 1; // ten for each digit behind the point
  bool after_point = false;
  std::size_t length = 0;
  for (; length < text.size(); ++length) {
    const char c = text[length];
    if (c == '.') {
      if (after_point || length == 0) return std::nullopt;
      after_point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    if (digits > most) return std::nullopt;
    digits = 10 * digits + static_cast<std::uint64_t>(c - '0');
    if (after_point) scale *= 10;
  }
  if (length == 0) return std::nullopt;
  return Number{static_cast<double>(digits) / scale, text.substr(length)};
}

struct TimeUnit {
  std::string_view name;
  double microseconds;
};

constexpr std::array<TimeUnit, 8> time_units{{{"us", 1},
                                              {"ms", 1e3},
                                              {"s", 1e6},
                                              {"sec", 1e6},
                                              {"m", 60e6},
                                              {"min", 60e6},
                                              {"h", 3600e6},
                                              {"d", 86400e6}}};

std::optional<double> take_time_unit(std::string_view& text) {
  std::size_t length = text.find_first_of("0123456789. ");
  if (length == std::string_view::npos) length = text.size();
  for (const auto& unit : time_units) {
    if (unit.name != text.substr(0, length)) continue;
    text.remove_prefix(length);
    return unit.microseconds;
  }
  return std::nullopt;
}

// Nothing if it is none.
std::optional<Duration> read_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const auto number = take_decimal(rest);
    if (!number) return std::nullopt;
    const bool bare = number->rest.empty();
    rest = number->rest;
    if (bare && number->value != 0 && total != 0) return std::nullopt; // "1m30": half a sentence
    const auto unit = bare ? std::optional<double>(1e6) : take_time_unit(rest);
    if (!unit) return std::nullopt;
    total += number->value * *unit;
    while (rest.size() > 1 && rest.front() == ' ') rest.remove_prefix(1);
  }
  // A hundred years: longer than anything that is waited for, and far from overflow in any clock.
  if (total > 100.0 * 365 * 86400e6) return std::nullopt;
  return Duration(static_cast<Duration::rep>(std::llround(total)));
}

} // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "infinity") return without_limit;
  if (const auto duration = read_duration(text)) return *duration;
  return fail(Outcome::usage, fmt::format("'{}'", text),
              "is not a duration (such as 500ms, 30s, 1m30s, 2h, 14d or infinity)");
}

Result<Duration> parse_limited_duration(std::string_view text) {
  const auto duration = read_duration(text);
  if (duration && *duration > Duration::zero()) return *duration;
  return fail(Outcome::usage, fmt::format("'{}'", text),
              duration || text == "infinity" ? "is not a duration of more than 0, with a limit"
                                             : "is not a duration (such as 500ms, 30s, 1m30s, 2h or 14d)");
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto bad = [&] {
    return fail(Outcome::usage, fmt::format("'{}'", text), "is not a size (such as 4096, 500M or 10G)");
  };
  const auto number = take_decimal(text);
  if (!number) return bad();
  std::string_view suffix = number->rest;
  double factor = 1;
  constexpr std::string_view letters = "KMGTP";
  if (!suffix.empty() && letters.find(suffix.front()) != std::string_view::npos) {
    factor = std::pow(1024.0, static_cast<double>(letters.find(suffix.front()) + 1));
    suffix.remove_prefix(1);
    if (suffix == "iB") suffix.remove_prefix(2);
  }
  if (suffix == "B") suffix.remove_prefix(1);
  const double bytes = number->value * factor;
  if (!suffix.empty() || bytes >= 0x1p63) return bad();
  return static_cast<std::uint64_t>(bytes);
}

Result<double> parse_percent(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number || !(number->rest.empty() || number->rest == "%") || number->value > 100)
    return fail(Outcome::usage, fmt::format("'{}'", text), "is not a percentage from 0% to 100%");
  return number->value;
}

Result<double> parse_decimal(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number || !number->rest.empty())
    return fail(Outcome::usage, fmt::format("'{}'", text), "is not a number (such as 1.5)");
  return number->value;
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != end || value < least || value > most) {
    if (most == std::numeric_limits<std::uint64_t>::max())
      return fail(Outcome::usage, fmt::format("'{}'", text),
                  fmt::format("is not a whole number of at least {}", least));
    return fail(Outcome::usage, fmt::format("'{}'", text),
                fmt::format("is not a whole number from {} to {}", least, most));
  }
  return value;
}

Result<std::uint64_t> parse_keep(std::string_view text) {
  if (text == "0" || text == "infinity") return keep_all;
  auto count = parse_count(text, 1, 1'000'000);
  if (!count) count.error().problem += ", and not infinity";
  return count;
}

Result<bool> parse_boolean(std::string_view text) {
  for (const std::string_view yes : {"yes", "true", "on", "1"})
    if (text == yes) return true;
  for (const std::string_view no : {"no", "false", "off", "0"})
    if (text == no) return false;
  return fail(Outcome::usage, fmt::format("'{}'", text), "is neither yes nor no");
}

std::string format_number(double value) {
  std::array<char, 32> text{};
  constexpr double exact = 1e15; // whole numbers up to here have all their digits
  const bool whole = value == std::floor(value) && std::abs(value) < exact;
  (void)std::snprintf(text.data(), text.size(), whole ? "%.0f" : "%.6g", value);
  return text.data();
}

std::string format_duration(Duration duration) {
  if (duration == without_limit) return "without limit";
  const auto microseconds = duration.count();
  const auto tenths = [](auto count) { return fmt::format("{}.{}", count / 10, count % 10); };
  if (microseconds < 1000) return fmt::format("{}us", microseconds);
  if (microseconds < 10'000) return tenths((microseconds + 50) / 100) + "ms";
  if (microseconds < 1'000'000) return fmt::format("{}ms", microseconds / 1000);
  if (microseconds < 60'000'000) {
    if (microseconds % 1'000'000 == 0) return fmt::format("{}s", microseconds / 1'000'000);
    return tenths(microseconds / 100'000) + "s";
  }
  const auto seconds = microseconds / 1'000'000;
  const auto two_units = [](auto large, char large_unit, auto small, char small_unit) {
    if (small == 0) return fmt::format("{}{}", large, large_unit);
    return fmt::format("{}{} {}{}", large, large_unit, small, small_unit);
  };
  if (seconds < 3600) return two_units(seconds / 60, 'm', seconds % 60, 's');
  if (seconds < 86400) return two_units(seconds / 3600, 'h', seconds % 3600 / 60, 'm');
  return two_units(seconds / 86400, 'd', seconds % 86400 / 3600, 'h');
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::string_view letters = "BKMGTP";
  double value = static_cast<double>(bytes);
  std::size_t index = 0;
  while (value >= 1024 && index + 1 < letters.size()) {
    value /= 1024;
    ++index;
  }
  const auto tenths = static_cast<std::uint64_t>(std::llround(value * 10));
  if (index == 0 || value >= 100 || value == std::floor(value))
    return fmt::format("{}{}", std::llround(value), letters[index]);
  return fmt::format("{}.{}{}", tenths / 10, tenths % 10, letters[index]);
}

} // namespace safe_deploy
