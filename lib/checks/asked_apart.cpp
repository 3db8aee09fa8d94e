#include "checks/asked_apart.hpp"

#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace safe_deploy {

namespace {

template <class T>
void put(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& bytes, const std::string& text) {
  put(bytes, text.size());
  bytes += text;
}

// What is not there any more is zero.
template <class T>
T take(std::string_view& bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  bytes.remove_prefix(std::min(bytes.size(), sizeof value));
  return value;
}
std::string take_text(std::string_view& bytes) {
  const auto size = take<std::size_t>(bytes);
  std::string text(bytes.substr(0, size));
  bytes.remove_prefix(text.size());
  return text;
}

} // namespace

std::string to_bytes(const Answer& answer) {
  std::string bytes;
  put(bytes, answer.verdict);
  put(bytes, answer.counts);
  put(bytes, answer.final);
  put_text(bytes, answer.reason);
  put_text(bytes, answer.sentence);
  for (const auto& figure : answer.figures) {
    put_text(bytes, figure.name);
    put(bytes, figure.value);
    put_text(bytes, figure.unit);
  }
  return bytes;
}

Answer answer_of_bytes(std::string_view bytes) {
  Answer answer;
  answer.verdict = take<Verdict>(bytes);
  answer.counts = take<bool>(bytes);
  answer.final = take<bool>(bytes);
  answer.reason = take_text(bytes);
  answer.sentence = take_text(bytes);
  while (!bytes.empty()) {
    std::string name = take_text(bytes);
    const auto value = take<double>(bytes);
    answer.figures.push_back({std::move(name), value, take_text(bytes)});
  }
  return answer;
}

AskedApart::AskedApart(std::shared_ptr<Check> check, std::string place)
    : place_(std::move(place)), apart_([check = std::move(check)] {
        return [check](std::string_view) { return to_bytes(check->ask(Deadline::never())); };
      }) {}

Answer AskedApart::ask(const Deadline& deadline) {
  const auto told = apart_.ask("", deadline);
  if (told) return answer_of_bytes(*told);
  const std::string shown = printable(place_);
  if (told.error().outcome() == Outcome::timed_out)
    return Answer::no("timeout",
                      fmt::format("{}: does not answer within {}", shown, format_duration(deadline.given())));
  return Answer::skipped("process", fmt::format("{}: {}", shown, told.error().text()));
}

} // namespace safe_deploy
