#include "calendar.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <array>

namespace safe_deploy {

namespace {

// Exactly so many digits of a number in [least, most].
std::optional<int> take_number(std::string_view& text, std::size_t digits, int least, int most) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = 10 * value + (c - '0');
  }
  if (value < least || value > most) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// "2026-11-28", which there must be in the calendar.
std::optional<std::tm> take_date(std::string_view& text) {
  std::tm parts{};
  const auto year = take_number(text, 4, 1970, 9999);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2, 1, 12);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2, 1, 31);
  if (!day) return std::nullopt;
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  std::tm same = parts;
  const std::time_t seconds = timegm(&same); // which makes the 1st of March of the 30th of February
  if (seconds == -1 || same.tm_mday != *day) return std::nullopt;
  return parts;
}

// "10:00" or "10:00:00".
bool take_time(std::string_view& text, std::tm& parts) {
  const auto hour = take_number(text, 2, 0, 23);
  if (!hour || !take(text, ':')) return false;
  const auto minute = take_number(text, 2, 0, 59);
  if (!minute) return false;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  if (!take(text, ':')) return true;
  const auto second = take_number(text, 2, 0, 60);
  if (!second) return false;
  parts.tm_sec = *second;
  return true;
}

std::time_t start_of_day(std::time_t now, int days_before) {
  std::tm parts{};
  (void)localtime_r(&now, &parts);
  parts.tm_hour = parts.tm_min = parts.tm_sec = 0;
  parts.tm_mday -= days_before;
  parts.tm_isdst = -1;
  return mktime(&parts);
}

std::optional<std::time_t> parse_local(std::string_view text) {
  auto parts = take_date(text);
  if (!parts) return std::nullopt;
  if (!text.empty() && !((take(text, ' ') || take(text, 'T')) && take_time(text, *parts)))
    return std::nullopt;
  if (!text.empty()) return std::nullopt;
  parts->tm_isdst = -1;
  return mktime(&*parts);
}

} // namespace

std::optional<std::int64_t> parse_recorded(std::string_view text) {
  auto parts = take_date(text);
  if (!parts || !take(text, 'T') || !take_time(text, *parts)) return std::nullopt;
  int milliseconds = 0;
  if (take(text, '.')) {
    const auto fraction = take_number(text, 3, 0, 999);
    if (!fraction) return std::nullopt;
    milliseconds = *fraction;
  }
  if (text != "Z") return std::nullopt;
  return static_cast<std::int64_t>(timegm(&*parts)) * 1000 + milliseconds;
}

std::string format_recorded(std::int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  (void)gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text.data(), milliseconds % 1000);
}

std::string local_time(const std::string& recorded) {
  const auto milliseconds = parse_recorded(recorded);
  if (!milliseconds) return printable(recorded, 40);
  const std::time_t seconds = *milliseconds / 1000;
  std::tm parts{};
  (void)localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

Result<std::string> parse_since(std::string_view text, std::time_t now) {
  const auto from = [](std::time_t seconds) {
    return format_recorded(std::max<std::int64_t>(0, static_cast<std::int64_t>(seconds)) * 1000);
  };
  if (text == "now") return from(now);
  if (text == "today") return from(start_of_day(now, 0));
  if (text == "yesterday") return from(start_of_day(now, 1));
  if (const auto recorded = parse_recorded(text)) return format_recorded(*recorded);
  if (const auto local = parse_local(text)) return from(*local);
  // A bare number would be seconds, which nobody means.
  const bool has_unit = !text.empty() && (text.back() < '0' || text.back() > '9');
  if (auto ago = parse_duration(text); ago && has_unit && *ago != without_limit)
    return from(now - std::chrono::duration_cast<std::chrono::seconds>(*ago).count());
  return fail(Outcome::usage, fmt::format("'{}'", printable(text, 40)),
              "is not a time (such as 2026-11-28, '2026-11-28 10:00', today, yesterday, or 12h or 2d ago)");
}

} // namespace safe_deploy
