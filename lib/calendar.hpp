#pragma once

#include "error.hpp"

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

// Wall-clock times, which are for people only: as the record has them ("2026-11-28T10:15:02.123Z"), as people
// write them, and in the time zone of whoever reads.
namespace safe_deploy {

// Milliseconds since 1970 of a time as the record has it; nothing if it is none.
std::optional<std::int64_t> parse_recorded(std::string_view text);

// The same, back.
std::string format_recorded(std::int64_t milliseconds);

// "2026-11-28 10:15:02" in local time (the environment's TZ); what is no recorded time comes back as it is,
// made printable.
std::string local_time(const std::string& recorded);

// The beginning of what people ask for, as the record would have it: "2026-11-28", "2026-11-28 10:00",
// "2026-11-28 10:00:00" (local time, a T instead of the space is taken as well), a time as recorded, "today",
// "yesterday", "now", or how long ago: "12h", "2d", "1d12h". Outcome::usage.
Result<std::string> parse_since(std::string_view text, std::time_t now);

} // namespace safe_deploy
