#pragma once

#include "deadline.hpp"
#include "error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

// The quantities that people write on command lines and in configuration, and how we write them back.
// Every parser takes the whole text and nothing else; the error's subject is that text.
namespace safe_deploy {

// "500ms", "30s", "1m30s", "2h", "1d"; a bare number is seconds, fractions are allowed ("0.5", "1.5s").
// "infinity" gives without_limit. Negative, empty, unknown unit, overflow: Outcome::usage.
Result<Duration> parse_duration(std::string_view text);

// More than nothing, and not without limit.
Result<Duration> parse_limited_duration(std::string_view text);

// "500M", "10G", "4096": bytes, powers of 1024, suffixes B K M G T P with an optional "iB" or "B".
Result<std::uint64_t> parse_size(std::string_view text);

// "80%" or "80": 0 to 100.
Result<double> parse_percent(std::string_view text);

// "0.5", "12": a decimal number without sign or exponent, of at most 18 digits. Neither "inf" nor "nan".
Result<double> parse_decimal(std::string_view text);

// A decimal number between `least` and `most`, without sign or space.
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most);

// How many to keep: 1 to 1000000; 0 and "infinity", as for durations, are without limit (keep_all).
inline constexpr std::uint64_t keep_all = UINT64_MAX;
Result<std::uint64_t> parse_keep(std::string_view text);

// "yes", "true", "on" or "1"; "no", "false", "off" or "0".
Result<bool> parse_boolean(std::string_view text);

// "71.5", "0.25", "1200000": a whole number, or at most six digits that count. (Not by fmt: its way of
// printing floating point would add 12 kB to each tool.)
std::string format_number(double value);

// "250ms", "3.2s", "1m 30s", "2h 5m": for people, with at most two units.
std::string format_duration(Duration duration);

// "1.5G", "500M", "12B".
std::string format_size(std::uint64_t bytes);

} // namespace safe_deploy
