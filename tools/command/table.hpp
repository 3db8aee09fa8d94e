#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Text for people on stdout: as wide as the terminal where stdout is one, whole elsewhere.
namespace safe_deploy::command {

inline constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

// The columns of the terminal that stdout is; no_limit elsewhere.
std::size_t terminal_columns();

// How many columns a text takes, UTF-8 with one for each character.
std::size_t width_of(std::string_view text);

// The text in at most so many columns, with "..." (one column alone: ".") where something is left out.
std::string cut(std::string_view text, std::size_t columns);

// The text in lines of at most so many columns, broken at spaces: a word that is longer stands alone, whole.
std::vector<std::string> wrap(std::string_view text, std::size_t columns);

// Rows whose columns are as wide as what they hold; the last one is not filled up.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) : rows_{std::move(heads)} {}
  Table() = default;
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Each line behind so many spaces, and not beyond `columns`.
  [[nodiscard]] std::string text(std::size_t columns, std::size_t indent = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

} // namespace safe_deploy::command
