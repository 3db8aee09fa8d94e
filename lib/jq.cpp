#include "jq.hpp"

#include "name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <climits>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

extern "C" {
#include <jq.h>
#include <jv.h>
}

namespace safe_deploy {

namespace {

constexpr std::size_t shown_value = 100; // bytes of a JSON value in a message

// Owns one reference of a JSON value. libjq's functions take the references that they are given: pass give().
class JsonValue {
 public:
  JsonValue() : value_(jv_invalid()) {}
  explicit JsonValue(jv value) : value_(value) {}
  JsonValue(JsonValue&& other) noexcept : value_(other.take()) {}
  JsonValue& operator=(JsonValue&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  JsonValue(const JsonValue&) = delete;
  JsonValue& operator=(const JsonValue&) = delete;
  ~JsonValue() { jv_free(value_); }

  [[nodiscard]] jv give() const { return jv_copy(value_); }
  [[nodiscard]] jv take() { return std::exchange(value_, jv_invalid()); }
  [[nodiscard]] jv_kind kind() const { return jv_get_kind(value_); }
  [[nodiscard]] bool valid() const { return kind() != JV_KIND_INVALID; }

  // As JSON on one line, cut.
  [[nodiscard]] std::string shown() const {
    const JsonValue text(jv_dump_string(give(), 0));
    return printable(text.string(), shown_value);
  }

  [[nodiscard]] std::string_view string() const {
    return {jv_string_value(value_), static_cast<std::size_t>(jv_string_length_bytes(give()))};
  }

  // The message of an invalid value; empty if it has none (a stream that has ended, say).
  [[nodiscard]] std::string message() const {
    const JsonValue message(jv_invalid_get_msg(give()));
    return message.kind() == JV_KIND_STRING ? std::string(message.string()) : std::string();
  }

 private:
  jv value_;
};

struct JqDeleter {
  void operator()(jq_state* jq) const { jq_teardown(&jq); }
};

// "jq: error: syntax error, unexpected $end (Unix shell quoting issues?) at <top-level>, line 1:" and more
// lines: only the thing itself.
std::string first_line(std::string text) {
  text.resize(std::min(text.size(), text.find('\n')));
  for (const std::string_view noise : {"jq: error: ", " (Unix shell quoting issues?)",
                                       " at <top-level>, line 1:", " at <top-level>, line 1, column 1:"})
    if (const std::size_t at = text.find(noise); at != std::string::npos) text.erase(at, noise.size());
  return printable(text, 200);
}

// Reads the paths in a filter that holds nothing but paths, literals, variables, comparisons, and, or and
// parentheses: there each of them starts at the top of the input, and its value explains the result.
class PathReader {
 public:
  struct Path {
    std::string text;
    JsonValue keys; // an array of strings and numbers
  };

  explicit PathReader(std::string_view filter) : rest_(filter) {}

  // Nothing if there is anything else in the filter.
  std::optional<std::vector<Path>> read() {
    std::vector<Path> paths;
    while (skip_space(), !rest_.empty()) {
      if (rest_.front() == '.' && !(rest_.size() > 1 && is_digit(rest_[1]))) {
        auto path = take_path();
        if (!path) return std::nullopt;
        paths.push_back(std::move(*path));
      } else if (!take_other()) {
        return std::nullopt;
      }
    }
    return paths;
  }

 protected:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n"), rest_.size())); }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  std::string_view take_while(bool (*wanted)(char)) {
    std::size_t length = 0;
    while (length < rest_.size() && wanted(rest_[length])) ++length;
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
  }

  std::string_view take_name() {
    return take_while([](char c) { return is_letter(c) || is_digit(c); });
  }

  // A string literal without interpolation, which is written as in JSON.
  JsonValue take_string() {
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') {
      if (rest_[end] == '\\' && end + 1 < rest_.size() && rest_[++end] == '(') return JsonValue();
      ++end;
    }
    if (end >= rest_.size()) return JsonValue();
    JsonValue literal(jv_parse_sized(rest_.data(), static_cast<int>(end + 1)));
    rest_.remove_prefix(end + 1);
    return literal;
  }

  std::optional<Path> take_path() {
    const std::string_view from = rest_;
    JsonValue keys(jv_array());
    const auto add = [&keys](JsonValue key) {
      const bool good = key.valid();
      keys = JsonValue(jv_array_append(keys.take(), good ? key.take() : jv_null()));
      return good;
    };
    bool first = true;
    for (;;) {
      if (take(".")) {
        if (!rest_.empty() && is_letter(rest_.front())) {
          const std::string_view name = take_name();
          (void)add(JsonValue(jv_string_sized(name.data(), static_cast<int>(name.size()))));
        } else if (!rest_.empty() && rest_.front() == '"') {
          if (!add(take_string())) return std::nullopt;
        } else if (!first) {
          return std::nullopt;
        }
      } else if (take("[")) {
        if (!rest_.empty() && rest_.front() == '"') {
          if (!add(take_string())) return std::nullopt;
        } else {
          const bool negative = take("-");
          const std::string_view digits = take_while(is_digit);
          if (digits.empty() || digits.size() > 6) return std::nullopt;
          const int index = std::stoi(std::string(digits));
          (void)add(JsonValue(jv_number(negative ? -index : index)));
        }
        if (!take("]")) return std::nullopt;
      } else if (!take("?")) {
        break;
      }
      first = false;
    }
    return Path{std::string(from.substr(0, from.size() - rest_.size())), std::move(keys)};
  }

  bool take_other() {
    if (rest_.front() == '"') return take_string().valid();
    if (is_digit(rest_.front()) || rest_.front() == '.' || rest_.front() == '-') {
      rest_.remove_prefix(1);
      (void)take_while([](char c) { return is_digit(c) || c == '.'; });
      return true;
    }
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "<", ">", "(", ")"})
      if (take(sign)) return true;
    if (take("$")) return !take_name().empty();
    const std::string_view name = take_name();
    constexpr std::array<std::string_view, 5> known{"and", "or", "true", "false", "null"};
    return std::find(known.begin(), known.end(), name) != known.end();
  }

  std::string_view rest_;
};

// Says yes for a filter that is nothing but comparisons of paths, strings, numbers and variables, joined by
// `and`, without libjq's interpreter, whose start takes 25 ms. The values are read and compared by libjq, so
// that they mean the same.
class PlainFilter : PathReader {
 public:
  // Whether it is such a filter: then it also compiles.
  static bool is_plain(std::string_view filter, const JqFilters::Variables& variables) {
    return PlainFilter(filter, variables).run(nullptr);
  }

  // Whether it certainly gives true for the input. A no is for the interpreter, which also says why.
  static bool gives_true(std::string_view filter, const JqFilters::Variables& variables,
                         const JsonValue& input) {
    return PlainFilter(filter, variables).run(&input);
  }

 private:
  PlainFilter(std::string_view filter, const JqFilters::Variables& variables)
      : PathReader(filter), variables_(variables) {}

  bool run(const JsonValue* input) {
    do {
      if (!comparison(input)) return false;
      skip_space();
    } while (take("and ") || take("and\t") || take("and\n"));
    return rest_.empty();
  }

  // Without an input: whether it is one.
  bool comparison(const JsonValue* input) {
    JsonValue left = operand(input);
    skip_space();
    const std::string_view sign =
        take_while([](char c) { return c == '=' || c == '!' || c == '<' || c == '>'; });
    JsonValue right = operand(input);
    if (!left.valid() || !right.valid()) return false;
    constexpr std::array<std::string_view, 6> signs{"==", "!=", "<", "<=", ">", ">="};
    if (std::find(signs.begin(), signs.end(), sign) == signs.end()) return false;
    if (input == nullptr) return true;
    if (sign == "==" || sign == "!=") return (jv_equal(left.take(), right.take()) != 0) == (sign == "==");
    const int order = jv_cmp(left.take(), right.take());
    if (order == 0) return sign.size() == 2;
    return (order < 0) == (sign.front() == '<');
  }

  // Invalid where it is none, or has no value in this input.
  JsonValue operand(const JsonValue* input) {
    skip_space();
    if (rest_.empty()) return {};
    if (rest_.front() == '"') return take_string();
    if (rest_.front() == '.') {
      auto path = take_path();
      if (!path || path->text.find_first_of("-?") != std::string::npos) return {};
      return input == nullptr ? JsonValue(jv_null())
                              : JsonValue(jv_getpath(input->give(), path->keys.give()));
    }
    if (take("$")) {
      const std::string_view name = take_name();
      const auto found = std::find_if(variables_.begin(), variables_.end(),
                                      [&](const auto& variable) { return variable.first == name; });
      return found == variables_.end() ? JsonValue() : JsonValue(jv_string(found->second.c_str()));
    }
    if (is_digit(rest_.front())) {
      const std::string_view number = take_while([](char c) { return is_digit(c) || c == '.'; });
      if (!rest_.empty() && is_letter(rest_.front())) return {}; // 1e9
      return JsonValue(jv_parse_sized(number.data(), static_cast<int>(number.size())));
    }
    const std::string_view name = take_name();
    if (name == "true") return JsonValue(jv_true());
    if (name == "false") return JsonValue(jv_false());
    return name == "null" ? JsonValue(jv_null()) : JsonValue();
  }

  const JqFilters::Variables& variables_;
};

// What the paths of the filter hold in this input: `it is "unhealthy"`. Empty where that cannot be told.
std::string explain(std::string_view filter, const JsonValue& input) {
  const auto paths = PathReader(filter).read();
  if (!paths || paths->empty() || paths->front().text == filter) return {};
  std::string text;
  for (const auto& path : *paths) {
    const JsonValue value(jv_getpath(input.give(), path.keys.give()));
    if (!value.valid()) continue;
    if (!text.empty()) text += ", ";
    text += fmt::format("{} is {}", paths->size() == 1 ? "it" : path.text, value.shown());
  }
  return text.empty() ? text : fmt::format(" ({})", text);
}

// A filter that gives more results than this does not mean to say yes or no.
constexpr int most_results = 1000;

// Each filter as a function, so that all of them share one start of libjq, and a program that gives one
// array of results for each, or {"error": why}. The line's end ends a comment in the filter.
std::string one_program(const std::vector<std::string>& filters) {
  std::string definitions;
  std::string calls;
  for (std::size_t i = 0; i < filters.size(); ++i) {
    definitions += fmt::format("def _filter{}: {}\n;", i, filters[i]);
    calls +=
        fmt::format("{}(try [limit({};_filter{})] catch {{error:.}})", i == 0 ? "" : ",", most_results, i);
  }
  return definitions + calls;
}

using Jq = std::unique_ptr<jq_state, JqDeleter>;

Result<Jq> compile(const std::string& program, const JqFilters::Variables& variables) {
  Jq jq(jq_init());
  if (!jq) return fail_errno("libjq", "cannot start", ENOMEM);
  std::string said;
  const auto keep_first = [](void* to, jv message) {
    const JsonValue owner(message);
    auto& first = *static_cast<std::string*>(to);
    if (first.empty() && owner.kind() == JV_KIND_STRING) first = owner.string();
  };
  jq_set_error_cb(jq.get(), keep_first, &said);
  // libjq 1.6 leaves these three unset, and fails on `debug`, `input` and `import` then.
  jq_set_debug_cb(
      jq.get(), [](void*, jv message) { jv_free(message); }, nullptr);
  jq_set_input_cb(jq.get(), nullptr, nullptr);
  jq_set_attr(jq.get(), jv_string("JQ_LIBRARY_PATH"), jv_array());
  JsonValue arguments(jv_object());
  for (const auto& [name, value] : variables)
    arguments = JsonValue(jv_object_set(arguments.take(), jv_string(name.c_str()), jv_string(value.c_str())));
  if (jq_compile_args(jq.get(), program.c_str(), arguments.take()) == 0)
    return fail(Outcome::usage, fmt::format("'{}'", printable(program)),
                fmt::format("is not a jq filter ({})", first_line(said)));
  jq_set_error_cb(
      jq.get(), [](void*, jv message) { jv_free(message); }, nullptr);
  return jq;
}

// What is wrong with a result that is not one true: "gave false", "failed: ..."; empty if it is true.
std::string judge_result(const JsonValue& result) {
  if (result.kind() == JV_KIND_OBJECT) {
    const JsonValue why(jv_object_get(result.give(), jv_string("error")));
    return "failed: " + (why.kind() == JV_KIND_STRING ? printable(why.string()) : why.shown());
  }
  if (result.kind() != JV_KIND_ARRAY) return "gave no result"; // it called halt, say
  const int count = jv_array_length(result.give());
  if (count == 0) return "gave no result";
  for (int i = 0; i < count; ++i) {
    const JsonValue value(jv_array_get(result.give(), i));
    if (value.kind() != JV_KIND_TRUE) return "gave " + value.shown();
  }
  return count == most_results ? "gave more results than can be looked at" : "";
}

} // namespace

struct JqFilters::State {
  std::vector<std::string> filters;
  Variables variables;
  std::function<void(const Error&)> on_failure;
  bool plain = false;   // all of them
  bool started = false; // the compiling
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<void>> compiled; // once it is known
  Jq jq;

  Result<void> compile_all();
  [[nodiscard]] bool plainly_true(const JsonValue& input) const;
  static void start_compiling(const std::shared_ptr<State>& state);
};

bool JqFilters::State::plainly_true(const JsonValue& input) const {
  return plain && std::all_of(filters.begin(), filters.end(), [&](const std::string& filter) {
           return PlainFilter::gives_true(filter, variables, input);
         });
}

// On a thread of its own, once.
void JqFilters::State::start_compiling(const std::shared_ptr<State>& state) {
  if (std::exchange(state->started, true)) return;
  std::thread([state] {
    auto result = state->compile_all();
    if (!result && state->on_failure) state->on_failure(result.error());
    const std::lock_guard lock(state->mutex);
    state->compiled = std::move(result);
    state->changed.notify_all();
  }).detach();
}

Result<void> JqFilters::State::compile_all() {
  for (const auto& filter : filters)
    if (filter.find('\0') != std::string::npos || filter.find_first_not_of(" \t\n") == std::string::npos)
      return fail(Outcome::usage, fmt::format("'{}'", printable(filter)), "is not a jq filter");
  auto all = compile(one_program(filters), variables);
  if (!all) { // which one is it?
    for (const auto& filter : filters)
      if (auto alone = compile(filter, variables); !alone) return forward_error(alone);
    return fail(Outcome::usage, fmt::format("'{}'", printable(filters.front())), "is not one jq expression");
  }
  jq = std::move(*all);
  return {};
}

std::shared_ptr<JqFilters> JqFilters::start(std::vector<std::string> filters, Variables variables,
                                            std::function<void(const Error&)> on_failure) {
  auto state = std::make_shared<State>();
  state->filters = std::move(filters);
  state->variables = std::move(variables);
  state->on_failure = std::move(on_failure);
  state->plain = std::all_of(state->filters.begin(), state->filters.end(), [&](const std::string& filter) {
    return PlainFilter::is_plain(filter, state->variables);
  });
  if (!state->plain) State::start_compiling(state);
  std::shared_ptr<JqFilters> made(new JqFilters);
  made->state_ = std::move(state);
  return made;
}

Result<void> JqFilters::compiled() {
  std::unique_lock lock(state_->mutex);
  if (!state_->started) return {}; // plain ones compile
  state_->changed.wait(lock, [this] { return state_->compiled.has_value(); });
  return *state_->compiled;
}

Result<void> JqFilters::check(std::string_view json) {
  if (auto ready = compiled(); !ready) return ready;
  std::unique_lock lock(state_->mutex);
  if (json.size() > INT_MAX) return fail(Outcome::no, "JSON", "is longer than 2 GiB");
  const JsonValue input(jv_parse_sized(json.data(), static_cast<int>(json.size())));
  if (!input.valid()) {
    std::string why = input.message();
    why.resize(std::min(why.size(), why.find(" (while parsing"))); // all of the text follows there
    return fail(Outcome::no, "",
                fmt::format("the body is not JSON ({})", why.empty() ? "it is empty" : printable(why)));
  }
  if (state_->plainly_true(input)) return {};
  State::start_compiling(state_);
  state_->changed.wait(lock, [this] { return state_->compiled.has_value(); });
  if (!*state_->compiled) return *state_->compiled;
  jq_start(state_->jq.get(), input.give(), 0);
  for (const auto& filter : state_->filters) {
    const std::string problem = judge_result(JsonValue(jq_next(state_->jq.get())));
    if (!problem.empty())
      return fail(Outcome::no, "",
                  fmt::format("{} {}{}", printable(filter), problem, explain(filter, input)));
  }
  return {};
}

std::vector<std::pair<std::string, double>> JqFilters::numbers(std::string_view json) {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::pair<std::string, double>> found;
  if (json.size() > INT_MAX) return found;
  const JsonValue input(jv_parse_sized(json.data(), static_cast<int>(json.size())));
  if (!input.valid()) return found;
  for (const auto& filter : state_->filters) {
    const auto paths = PathReader(filter).read();
    if (!paths) continue;
    for (const auto& path : *paths) {
      JsonValue value(jv_getpath(input.give(), path.keys.give()));
      const bool known =
          std::any_of(found.begin(), found.end(), [&](const auto& each) { return each.first == path.text; });
      if (value.kind() == JV_KIND_NUMBER && !known)
        found.emplace_back(path.text, jv_number_value(value.take()));
    }
  }
  return found;
}

} // namespace safe_deploy
