#include "json.hpp"

#include <algorithm>
#include <utility>
#include <vector>

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

// Builds the value without the search for each key that the library's own builder makes.
class Builder {
 public:
  explicit Builder(Json& root) : root_(root) {}

  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t&) { return add(value); }
  bool string(string_t& value) { return add(std::move(value)); }
  static bool binary(const binary_t&) { return false; } // is not in a text
  bool start_object(std::size_t) { return enter(Json::object()); }
  bool start_array(std::size_t) { return enter(Json::array()); }
  bool key(string_t& key) {
    key_ = std::move(key);
    return true;
  }
  bool end_object() { return !has_a_key_twice(*open_.back()) && end_array(); }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  static bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    return false;
  }

 private:
  // What is open stays where it is: nothing is added beside it meanwhile.
  Json& put(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& in = *open_.back();
    if (in.is_object()) {
      append(in, key_, std::move(value));
      return in.get_ref<Json::object_t&>().back().second;
    }
    in.push_back(std::move(value));
    return in.back();
  }
  bool add(Json value) {
    (void)put(std::move(value));
    return true;
  }
  bool enter(Json value) {
    open_.push_back(&put(std::move(value)));
    if (open_.back()->is_object()) open_.back()->get_ref<Json::object_t&>().reserve(4);
    return true;
  }
  static bool has_a_key_twice(const Json& object) {
    const auto& members = object.get_ref<const Json::object_t&>();
    constexpr std::size_t few = 8; // for which a search is cheaper than to sort them
    if (members.size() <= few)
      return std::any_of(members.begin(), members.end(), [&](const auto& member) {
        return &members.find(member.first)->second != &member.second;
      });
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& [key, value] : members) keys.emplace_back(key);
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
  }

  Json& root_;
  std::vector<Json*> open_;
  std::string key_;
};

} // namespace

std::string text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void append(Json& object, const std::string& key, Json value) {
  object.get_ref<Json::object_t&>().emplace_back(key, std::move(value));
}

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(const std::string& text) {
  Json root;
  Builder builder(root);
  if (!Json::sax_parse(text, &builder)) return Json(Json::value_t::discarded);
  return root;
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
