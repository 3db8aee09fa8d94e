#include "checks/kinds.hpp"

#include "checks/judges.hpp"

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

// One block a kind: its own key first, then what else it takes. A key stands here once the check reads it.

constexpr KindKey http[] = {
    {"http", judge::url},
    {.name = "expect-status", .judge = judge::status_ranges, .otherwise = "200-299"},
    {.name = "expect-json", .repeats = true, .filter = true},
    {"expect-body", judge::regex},
    {.name = "expect-header", .judge = judge::header_pattern, .repeats = true},
    {"max-latency", judge::positive_duration},
    {"method", judge::http_method},
    {"data"},
    {.name = "header", .judge = judge::header, .repeats = true},
    {"bearer", judge::token_source},
    {"cacert", judge::absolute_path},
    {"cert", judge::absolute_path},
    {"key", judge::absolute_path},
    {.name = "insecure", .judge = judge::yes_or_no, .otherwise = "no"},
    {"unix-socket", judge::absolute_path},
    {.name = "location", .judge = judge::yes_or_no, .otherwise = "no"},
    {.name = "max-body", .judge = judge::positive_size, .otherwise = "1M"},
};

constexpr KindKey listening[] = {
    {"listening", judge::target},
};

constexpr KindKey port_free[] = {
    {"port-free", judge::target},
};

constexpr KindKey unit[] = {
    {"unit", judge::unit},
};

constexpr KindKey restarts[] = {
    {"restarts", judge::unit},
};

constexpr KindKey disk[] = {
    {"disk", judge::absolute_path},
    {.name = "used-max", .judge = judge::percent, .otherwise = "80%"},
};

constexpr KindKey memory[] = {
    {"memory", judge::positive_size},
};

// The registration: one line a kind.
constexpr std::array kinds{
    Kind{"http", http},     Kind{"listening", listening}, Kind{"port-free", port_free},
    Kind{"unit", unit},     Kind{"restarts", restarts},   Kind{"disk", disk},
    Kind{"memory", memory},
};

} // namespace

const KindKey* Kind::find_key(std::string_view key) const {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const KindKey& one) { return one.name == key; });
  return found == keys.end() ? nullptr : &*found;
}

std::span<const Kind> check_kinds() {
  return kinds;
}

const Kind* find_check_kind(std::string_view name) {
  const auto* found =
      std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : found;
}

} // namespace safe_deploy
