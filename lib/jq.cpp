#include "jq.hpp"

#include "apart.hpp"
#include "json.hpp"
#include "name.hpp"
#include "quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
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

// A longer body is parsed in the process only: libjq's values take up to a hundred times what is written.
constexpr std::size_t most_here = 64UL * 1024;

// libjq 1.6 takes 256 levels of arrays and objects and 1.7 takes 10,000, which it then walks by recursion.
constexpr std::size_t most_levels = 256;

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

enum class Truth { yes, no, unknown };

// Decides a filter that is nothing but comparisons of paths, strings, numbers and variables, joined by `and`,
// without libjq's interpreter, whose start takes 25 ms. The values are read and compared by libjq, so that
// they mean the same.
class PlainFilter : PathReader {
 public:
  // Whether it is such a filter: then it also compiles.
  static bool is_plain(std::string_view filter, const JqFilters::Variables& variables) {
    return PlainFilter(filter, variables).run(nullptr) == Truth::yes;
  }

  // Unknown is for the interpreter, which also says why: `.name.first` where the name is a string, say.
  static Truth decide(std::string_view filter, const JqFilters::Variables& variables,
                      const JsonValue& input) {
    return PlainFilter(filter, variables).run(&input);
  }

 private:
  PlainFilter(std::string_view filter, const JqFilters::Variables& variables)
      : PathReader(filter), variables_(variables) {}

  // Without an input: whether it is one. What follows a comparison that is false is not looked at by jq,
  // either.
  Truth run(const JsonValue* input) {
    do {
      if (const Truth truth = comparison(input); truth != Truth::yes) return truth;
      skip_space();
    } while (take("and ") || take("and\t") || take("and\n"));
    return rest_.empty() ? Truth::yes : Truth::unknown;
  }

  Truth comparison(const JsonValue* input) {
    JsonValue left = operand(input);
    skip_space();
    const std::string_view sign =
        take_while([](char c) { return c == '=' || c == '!' || c == '<' || c == '>'; });
    JsonValue right = operand(input);
    if (!left.valid() || !right.valid()) return Truth::unknown;
    constexpr std::array<std::string_view, 6> signs{"==", "!=", "<", "<=", ">", ">="};
    if (std::find(signs.begin(), signs.end(), sign) == signs.end()) return Truth::unknown;
    if (input == nullptr) return Truth::yes;
    const auto truth = [](bool is) { return is ? Truth::yes : Truth::no; };
    if (sign == "==" || sign == "!=")
      return truth((jv_equal(left.take(), right.take()) != 0) == (sign == "=="));
    const int order = jv_cmp(left.take(), right.take());
    return truth(order == 0 ? sign.size() == 2 : (order < 0) == (sign.front() == '<'));
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

// Which is which is told in the first byte of a question to the process.
constexpr char ask_compiled = 'c'; // the answer is empty, or the subject and the problem, each a line
constexpr char ask_judgement = 'j';

// The filters, compiled: what the process of their own holds.
class Interpreter {
 public:
  Interpreter(const std::vector<std::string>& filters, const JqFilters::Variables& variables)
      : filters_(filters), compiled_(compile_all(variables)) {}

  [[nodiscard]] const Result<void>& compiled() const { return compiled_; }

  // The body must be JSON.
  [[nodiscard]] std::string problem(const JsonValue& input) const {
    jq_start(jq_.get(), input.give(), 0);
    for (const auto& filter : filters_) {
      const std::string wrong = judge_result(JsonValue(jq_next(jq_.get())));
      if (!wrong.empty()) return fmt::format("{} {}{}", printable(filter), wrong, explain(filter, input));
    }
    return {};
  }

 private:
  Result<void> compile_all(const JqFilters::Variables& variables) {
    for (const auto& filter : filters_)
      if (filter.find('\0') != std::string::npos || filter.find_first_not_of(" \t\n") == std::string::npos)
        return fail(Outcome::usage, fmt::format("'{}'", printable(filter)), "is not a jq filter");
    auto all = compile(one_program(filters_), variables);
    if (!all) { // which one is it?
      for (const auto& filter : filters_)
        if (auto alone = compile(filter, variables); !alone) return forward_error(alone);
      return fail(Outcome::usage, fmt::format("'{}'", printable(filters_.front())),
                  "is not one jq expression");
    }
    jq_ = std::move(*all);
    return {};
  }

  std::vector<std::string> filters_;
  Jq jq_ = {};
  Result<void> compiled_;
};

// Each number that the filters speak of, once.
std::vector<std::pair<std::string, double>> find_numbers(const std::vector<std::string>& filters,
                                                         const JsonValue& input) {
  std::vector<std::pair<std::string, double>> found;
  for (const auto& filter : filters) {
    const auto paths = PathReader(filter).read();
    if (!paths) continue;
    for (const auto& path : *paths) {
      const JsonValue value(jv_getpath(input.give(), path.keys.give()));
      const bool known =
          std::any_of(found.begin(), found.end(), [&](const auto& each) { return each.first == path.text; });
      const double number = value.kind() == JV_KIND_NUMBER ? jv_number_value(value.give()) : NAN;
      if (std::isfinite(number) && !known) found.emplace_back(path.text, number);
    }
  }
  return found;
}

// What libjq would make of it is another thing: it takes NaN, ends at a NUL, and reads several values in a
// row.
std::string not_json(std::string_view body) {
  const std::string why = json_problem(body, most_levels);
  return why.empty() ? "" : fmt::format("the body is not JSON ({})", printable(why, 120));
}

// The body must be JSON.
JsonValue parse_body(std::string_view body) {
  return JsonValue(jv_parse_sized(body.data(), static_cast<int>(body.size())));
}

std::string to_answer(const JqFilters::Judgement& judgement) {
  Json numbers = Json::array();
  for (const auto& [path, value] : judgement.numbers) numbers.push_back(Json::array({path, value}));
  return to_text(Json{{"problem", judgement.problem}, {"numbers", std::move(numbers)}});
}

JqFilters::Judgement from_answer(const std::string& text) {
  const Json json = parse_json(text);
  JqFilters::Judgement judgement{.problem = json.at("problem").get<std::string>()};
  for (const Json& number : json.at("numbers"))
    judgement.numbers.emplace_back(number.at(0).get<std::string>(), number.at(1).get<double>());
  return judgement;
}

// In the process.
JqFilters::Judgement judge_with(const Interpreter& interpreter, const std::vector<std::string>& filters,
                                std::string_view body) {
  if (auto wrong = not_json(body); !wrong.empty()) return {.problem = std::move(wrong)};
  const JsonValue input = parse_body(body);
  if (!input.valid())
    return {.problem = fmt::format("the body is not JSON for jq ({})", first_line(input.message()))};
  if (const auto& compiled = interpreter.compiled(); !compiled) return {.problem = compiled.error().text()};
  return {.problem = interpreter.problem(input), .numbers = find_numbers(filters, input)};
}

Apart::Handler prepare(const std::vector<std::string>& filters, const JqFilters::Variables& variables) {
  const auto interpreter = std::make_shared<const Interpreter>(filters, variables);
  return [filters, interpreter](std::string_view question) -> std::string {
    if (question.substr(0, 1) != std::string_view(&ask_compiled, 1))
      return to_answer(judge_with(*interpreter, filters, question.substr(1)));
    const auto& compiled = interpreter->compiled();
    return compiled ? "" : fmt::format("{}\n{}", compiled.error().subject, compiled.error().problem);
  };
}

// libjq takes 5 to 15 MiB for a MiB of JSON as services write it, 50 for one of the smallest objects, and 137
// for what is made to take the most. The limit follows the bodies that are wanted.
std::uint64_t memory_for(std::uint64_t max_body) {
  constexpr std::uint64_t mega = 1024UL * 1024;
  constexpr std::uint64_t most_megas = 1024UL * 1024;
  return 32 * mega * std::clamp<std::uint64_t>((max_body + mega - 1) / mega, 1, most_megas);
}

// How long the compiling may take, which is a matter of milliseconds but for filters that are made to take
// long.
constexpr auto compile_time = std::chrono::seconds(30);

} // namespace

struct JqFilters::State {
  State(std::vector<std::string> all, Variables known, std::uint64_t max_body, UserPtr asker)
      : filters(std::move(all)),
        variables(std::move(known)),
        plain(std::all_of(
            filters.begin(), filters.end(),
            [this](const std::string& filter) { return PlainFilter::is_plain(filter, variables); })),
        memory(memory_for(max_body)),
        user(std::move(asker)),
        apart([filters = filters, variables = variables] { return prepare(filters, variables); }, memory,
              user) {}

  const std::vector<std::string> filters;
  const Variables variables;
  const bool plain; // all of them
  const std::uint64_t memory;
  const UserPtr user;

  std::timed_mutex asking; // one question at a time
  Apart apart;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<void>> compiled = {}; // once it is known

  [[nodiscard]] std::string name() const {
    return filters.size() == 1 ? fmt::format("the filter `{}`", printable(filters.front(), 100))
                               : "the filters together";
  }
  [[nodiscard]] std::optional<Judgement> judge_here(std::string_view body) const;
  Result<void> ask_whether_compiled();
  Result<Judgement> judge_apart(std::string_view body, const Deadline& deadline);
};

Result<void> JqFilters::State::ask_whether_compiled() {
  const std::lock_guard lock(asking);
  const auto answer = apart.ask(std::string_view(&ask_compiled, 1), Deadline::after(compile_time));
  if (!answer) {
    const Error& error = answer.error();
    if (error.outcome() == Outcome::timed_out)
      return fail(Outcome::usage, name(), "takes too long to compile");
    if (error.outcome() == Outcome::no)
      return fail(Outcome::usage, name(),
                  fmt::format("needs more than {} of memory to compile", format_size(memory)));
    return tl::unexpected<Error>(error);
  }
  if (answer->empty()) return {};
  const std::size_t end = answer->find('\n');
  return fail(Outcome::usage, answer->substr(0, end), answer->substr(end + 1));
}

// Nothing where the process is needed.
std::optional<JqFilters::Judgement> JqFilters::State::judge_here(std::string_view body) const {
  if (body.size() > most_here) return std::nullopt;
  if (auto wrong = not_json(body); !wrong.empty()) return Judgement{.problem = std::move(wrong)};
  if (!plain) return std::nullopt;
  const JsonValue input = parse_body(body);
  if (!input.valid()) return std::nullopt;
  std::string problem;
  for (const auto& filter : filters) {
    const Truth truth = PlainFilter::decide(filter, variables, input);
    if (truth == Truth::unknown) return std::nullopt;
    if (truth == Truth::yes) continue;
    problem = fmt::format("{} gave false{}", printable(filter), explain(filter, input));
    break;
  }
  return Judgement{.problem = std::move(problem), .numbers = find_numbers(filters, input)};
}

Result<JqFilters::Judgement> JqFilters::State::judge_apart(std::string_view body, const Deadline& deadline) {
  const auto late = [&] {
    return fail(Outcome::timed_out, "",
                fmt::format("{} did not end within {}", name(), format_duration(deadline.given())));
  };
  std::unique_lock lock(asking, std::defer_lock);
  if (deadline.is_never())
    lock.lock();
  else if (!lock.try_lock_until(deadline.when()))
    return late();
  std::string question(1, ask_judgement);
  question += body;
  const auto answer = apart.ask(question, deadline);
  if (answer) return from_answer(*answer);
  const Error& error = answer.error();
  if (error.outcome() == Outcome::timed_out) return late();
  if (error.outcome() == Outcome::no)
    return fail(Outcome::no, "",
                fmt::format("{} needs more than {} of memory for its body of {}", name(), format_size(memory),
                            format_size(body.size())));
  return tl::unexpected<Error>(error);
}

std::shared_ptr<JqFilters> JqFilters::start(std::vector<std::string> filters, Variables variables,
                                            std::function<void(const Error&)> on_failure,
                                            std::uint64_t max_body, UserPtr user) {
  auto state = std::make_shared<State>(std::move(filters), std::move(variables), max_body, std::move(user));
  std::shared_ptr<JqFilters> made(new JqFilters);
  made->state_ = state;
  if (state->plain) {
    state->compiled = Result<void>(); // they compile
    return made;
  }
  // Started on this thread: the process ends with the thread that makes it. Where it cannot be made, the
  // question finds that, too.
  (void)state->apart.start();
  std::thread([state, on_failure = std::move(on_failure)] {
    if (state->user != nullptr) (void)become_on_this_thread(*state->user);
    auto result = state->ask_whether_compiled();
    if (!result && on_failure) on_failure(result.error());
    const std::lock_guard lock(state->mutex);
    state->compiled = std::move(result);
    state->changed.notify_all();
  }).detach();
  return made;
}

Result<void> JqFilters::compiled(const Deadline& deadline) {
  std::unique_lock lock(state_->mutex);
  const auto known = [this] { return state_->compiled.has_value(); };
  if (deadline.is_never())
    state_->changed.wait(lock, known);
  else if (!state_->changed.wait_until(lock, deadline.when(), known))
    return fail(Outcome::timed_out, "",
                fmt::format("{} was not ready within {}", state_->name(), format_duration(deadline.given())));
  return *state_->compiled;
}

Result<JqFilters::Judgement> JqFilters::check(std::string_view body, const Deadline& deadline) {
  if (auto ready = compiled(deadline); !ready) return forward_error(ready);
  if (body.size() >= INT_MAX) return Judgement{.problem = "the body is longer than 2G"};
  if (auto judged = state_->judge_here(body)) return std::move(*judged);
  return state_->judge_apart(body, deadline);
}

} // namespace safe_deploy
