#include "error.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

class OutcomeCategory final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "safe-deploy"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Outcome>(value)) {
      case Outcome::no:
        return "no";
      case Outcome::usage:
        return "usage error";
      case Outcome::os_error:
        return "the operating system refused";
      case Outcome::busy:
        return "another deploy is under way";
      case Outcome::bad_config:
        return "the configuration is wrong";
      case Outcome::timed_out:
        return "timed out";
    }
    return "unknown outcome";
  }
};

const std::error_category& outcome_category() {
  static const OutcomeCategory category;
  return category;
}

} // namespace

std::error_code make_error_code(Outcome outcome) {
  return {static_cast<int>(outcome), outcome_category()};
}

std::string Error::text() const {
  std::string text = subject.empty() ? problem : fmt::format("{}: {}", subject, problem);
  if (code.category() != outcome_category()) text += ": " + code.message();
  return text;
}

Outcome Error::outcome() const {
  return code.category() == outcome_category() ? static_cast<Outcome>(code.value()) : Outcome::os_error;
}

tl::unexpected<Error> fail(Outcome outcome, std::string subject, std::string problem) {
  return tl::unexpected<Error>(Error{std::move(subject), std::move(problem), make_error_code(outcome)});
}

tl::unexpected<Error> fail_errno(std::string subject, std::string problem, int error_number) {
  return tl::unexpected<Error>(
      Error{std::move(subject), std::move(problem), std::error_code(error_number, std::system_category())});
}

} // namespace safe_deploy
