#pragma once

#include "checks/expand.hpp"
#include "checks/make.hpp"
#include "config.hpp"
#include "error.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace safe_deploy {

// The values of a check's section as the check reads them: with every ${...} replaced, and each error told
// with the place that it comes from.
class Values {
 public:
  Values(const CheckSection& section, const CheckContext& context) : section_(section), context_(context) {}

  [[nodiscard]] const CheckContext& context() const { return context_; }
  [[nodiscard]] std::shared_ptr<Units> units() const {
    return context_.units ? context_.units : std::make_shared<Units>();
  }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  // The time that one answer may take.
  [[nodiscard]] Duration timeout() const { return section_.timeout.value_or(std::chrono::seconds(5)); }

  // Empty if the key is not given.
  [[nodiscard]] Result<std::string> text(std::string_view key, Quote quote = nullptr) const;
  [[nodiscard]] Result<std::vector<std::string>> texts(std::string_view key, Quote quote = nullptr) const;

  // The words of a command, see split_words(). What stands for a ${...} is never more than a part of one.
  [[nodiscard]] Result<std::vector<std::string>> words(std::string_view key) const;

  // The value read by `parse`, such as parse_duration; `otherwise` if the key is not given.
  template <class Parse, class T = typename std::invoke_result_t<Parse, std::string_view>::value_type>
  [[nodiscard]] Result<T> parsed(std::string_view key, Parse parse, T otherwise,
                                 Quote quote = nullptr) const {
    if (!has(key)) return otherwise;
    auto value = text(key, quote);
    if (!value) return forward_error(value);
    auto result = parse(*value);
    if (!result) return wrong(key, result.error());
    return result;
  }

  // Each value of a key that repeats, read by `parse`.
  template <class Parse, class T = typename std::invoke_result_t<Parse, std::string_view>::value_type>
  [[nodiscard]] Result<std::vector<T>> all_parsed(std::string_view key, Parse parse,
                                                  Quote quote = nullptr) const {
    auto values = texts(key, quote);
    if (!values) return forward_error(values);
    std::vector<T> all;
    for (const auto& value : *values) {
      auto result = parse(value);
      if (!result) return wrong(key, result.error());
      all.push_back(std::move(*result));
    }
    return all;
  }

  // The file of a secret: an absolute path, or credential:NAME. Empty if the key is not given.
  [[nodiscard]] Result<std::string> secret_file(std::string_view key) const;

  // "FILE:LINE" of a key, or else of the section.
  [[nodiscard]] std::string place(std::string_view key) const;

  // An error found in the value of `key`, or in the check as a whole.
  [[nodiscard]] tl::unexpected<Error> wrong(std::string_view key, const Error& error) const;

 private:
  [[nodiscard]] const Setting* find(std::string_view key) const;
  [[nodiscard]] Result<std::string> expanded(const Setting& setting, Quote quote) const;

  const CheckSection& section_;
  const CheckContext& context_;
};

// The file that "credential:NAME" or a path stands for. Outcome::no if the process was given no credentials.
Result<std::string> secret_path(std::string_view source, const std::string& credentials);

} // namespace safe_deploy
