#include "json.hpp"

#include <utility>

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace safe_deploy {

namespace {

// Looks at what is parsed and keeps nothing of it but what is wrong.
struct Problem {
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  std::size_t most_levels;
  std::size_t levels = 0;
  std::string text = {};

  static bool null() { return true; }
  static bool boolean(bool) { return true; }
  static bool number_integer(number_integer_t) { return true; }
  static bool number_unsigned(number_unsigned_t) { return true; }
  static bool number_float(number_float_t, const string_t&) { return true; }
  static bool string(const string_t&) { return true; }
  static bool binary(const binary_t&) { return true; }
  static bool key(const string_t&) { return true; }
  bool start_object(std::size_t) { return enter(); }
  bool start_array(std::size_t) { return enter(); }
  bool end_object() { return leave(); }
  bool end_array() { return leave(); }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    constexpr int out_of_range = 406; // a number beyond what a double holds
    const std::string_view what = error.what();
    constexpr std::string_view before = "parse error at ";
    const std::size_t at = what.find(before);
    if (error.id == out_of_range)
      text = "it holds a number that is out of range";
    else
      text = at == std::string_view::npos ? what : what.substr(at + before.size());
    return false;
  }

 private:
  bool enter() {
    if (++levels > most_levels) text = "more than " + std::to_string(most_levels) + " levels deep";
    return text.empty();
  }
  bool leave() {
    --levels;
    return true;
  }
};

} // namespace

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

std::string json_problem(std::string_view text, std::size_t most_levels) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return "it is empty";
  // The library takes it for the end of the text.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    return "byte " + std::to_string(nul + 1) + " is NUL";
  Problem problem{.most_levels = most_levels};
  (void)Json::sax_parse(text.begin(), text.end(), &problem);
  return std::move(problem.text);
}

} // namespace safe_deploy
