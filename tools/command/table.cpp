#include "table.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace safe_deploy::command {

namespace {

// The bytes of the character at the front: one that begins in UTF-8, and what continues it.
std::size_t character(std::string_view text) {
  std::size_t length = 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0U) == 0x80) ++length;
  return length;
}

} // namespace

std::size_t terminal_columns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) != 1) return no_limit;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::size_t width_of(std::string_view text) {
  std::size_t columns = 0;
  for (; !text.empty(); text.remove_prefix(character(text))) ++columns;
  return columns;
}

std::string cut(std::string_view text, std::size_t columns) {
  if (width_of(text) <= columns) return std::string(text);
  const std::size_t dots = std::min<std::size_t>(columns, columns < 6 ? 1 : 3);
  std::string short_text;
  for (std::size_t i = 0; i + dots < columns; ++i) {
    const std::size_t length = character(text);
    short_text += text.substr(0, length);
    text.remove_prefix(length);
  }
  return short_text.append(dots, '.');
}

std::vector<std::string> wrap(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const std::size_t width = width_of(word);
    if (lines.empty() || used + 1 + width > columns) {
      lines.emplace_back(word);
      used = width;
    } else {
      lines.back().append(" ").append(word);
      used += 1 + width;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string Table::text(std::size_t columns, std::size_t indent) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line(std::min(indent, columns), ' ');
    std::size_t due = 0; // spaces, which are left out at the end of a line
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!row[i].empty()) line.append(due, ' ').append(row[i]);
      due = (row[i].empty() ? due : 0) + widths[i] - width_of(row[i]) + 2;
    }
    text += cut(line, columns) + '\n';
  }
  return text;
}

} // namespace safe_deploy::command
