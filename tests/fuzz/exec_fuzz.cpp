#include "checks/exec_check.hpp"
#include "fuzz.hpp"
#include "name.hpp"
#include "words.hpp"

#include <cmath>

using namespace safe_deploy;

// A command as a configuration has it, and what a program may write.
void fuzz(std::string_view input) {
  if (const auto words = split_words(input)) {
    std::string quoted;
    std::size_t size = 0;
    for (const auto& word : *words) {
      size += word.size();
      quoted += " '";
      for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
      quoted += '\'';
    }
    fuzz_verify(size <= input.size());
    fuzz_verify(split_words(quoted) == *words);
  } else {
    fuzz_verify(!judge::command(input).empty());
  }
  const auto figures = read_performance_data(input);
  fuzz_verify(figures.size() <= 20);
  for (const auto& figure : figures)
    fuzz_verify(std::isfinite(figure.value) && !figure.name.empty() &&
                figure.name == printable(figure.name, 100) && figure.unit.size() <= 8);
}
