#include "name.hpp"
#include "quantity.hpp"
#include "timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace safe_deploy {

namespace {

using Part = Timeline::Part;

// In pixels. To the right of the time axis there is room for the durations.
constexpr double page_width = 1000;
constexpr double left = 132;
constexpr double right = 880;
constexpr double row_height = 28;
constexpr double bar_height = 16;
constexpr double line_height = 18;
constexpr std::size_t words_a_line = 135; // of the paragraphs
constexpr std::size_t most_answers = 10;  // that are told in words

// Of a bar: light to dark from the deploy to the rollback, so that they differ in print, too.
std::string_view colour(Part part) {
  switch (part) {
    case Part::deploy:
      return "#7fb2dd";
    case Part::probation:
      return "#cfe8c4";
    case Part::rollback:
      break;
  }
  return "#a63624";
}

std::string_view name_of(Part part) {
  switch (part) {
    case Part::deploy:
      return "deploy";
    case Part::probation:
      return "probation";
    case Part::rollback:
      break;
  }
  return "rollback";
}

// A coordinate, with one digit behind the point.
std::string px(double value) {
  const auto tenths = std::llround(value * 10);
  return fmt::format("{}{}.{}", tenths < 0 ? "-" : "", std::abs(tenths) / 10, std::abs(tenths) % 10);
}

// XML 1.0, 2.2 and 2.4: no control characters, and not U+FFFE and U+FFFF.
std::string escape(std::string_view text, std::size_t limit = 500) {
  std::string out;
  const std::string shown = printable(text, limit);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const std::string_view rest = std::string_view(shown).substr(i);
    if (rest.starts_with("\xef\xbf\xbe") || rest.starts_with("\xef\xbf\xbf")) {
      out += '?';
      i += 2;
    } else if (shown[i] == '&') {
      out += "&amp;";
    } else if (shown[i] == '<') {
      out += "&lt;";
    } else if (shown[i] == '>') {
      out += "&gt;";
    } else if (shown[i] == '"') {
      out += "&quot;";
    } else if (shown[i] == '\'') {
      out += "&#39;";
    } else {
      out += shown[i];
    }
  }
  return out;
}

std::string time_text(double seconds) {
  constexpr double most = 1e12; // as a Duration
  if (!(seconds > 0)) return "0s";
  return format_duration(Duration(std::llround(std::min(seconds, most) * 1e6)));
}

// The columns that a text takes: two for each character of the wide scripts.
std::size_t columns_of(std::string_view character) {
  return static_cast<unsigned char>(character.front()) >= 0xe1 ? 2 : 1;
}

// At most so many columns a line, broken at spaces where there are some; `most` lines.
std::vector<std::string> wrap(std::string_view text, std::size_t columns, std::size_t most) {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < most) {
    std::size_t end = 0;
    std::size_t space = 0;
    std::size_t used = 0;
    while (end < text.size()) {
      std::size_t length = 1;
      while (end + length < text.size() && (static_cast<unsigned char>(text[end + length]) & 0xc0U) == 0x80)
        ++length;
      used += columns_of(text.substr(end, length));
      if (used > columns) break;
      if (text[end] == ' ') space = end;
      end += length;
    }
    if (end < text.size() && space > 0) end = space;
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  if (!text.empty()) lines.back() += " ...";
  return lines;
}

// A stretch of time that is drawn to one scale.
struct Stretch {
  double begin = 0; // seconds
  double end = 0;
  double from = left; // pixels
  double to = right;
};

// Where a moment is drawn. A probation is often a hundred times longer than all that comes before and after:
// it has a scale of its own then.
class Scale {
 public:
  explicit Scale(const Timeline& timeline) {
    const double total = std::max(timeline.seconds, 1e-3);
    double begin = total;
    double end = 0;
    for (const auto& row : timeline.rows)
      for (const auto& bar : row.bars)
        if (row.part == Part::probation) {
          begin = std::min(begin, bar.begin);
          end = std::max(end, bar.end);
        }
    constexpr double fair = 0.6; // so much of the width it may have by right
    constexpr double given = 0.3;
    const double rest = total - (end - begin);
    if (end - begin <= fair * total || rest <= 0) {
      stretches_.push_back({0, total});
      return;
    }
    constexpr double narrowest = 0.12; // of what comes before it and after
    const bool has_before = begin > 0;
    const bool has_after = end < total;
    const double others = 1 - given;
    double before = has_before ? others * begin / rest : 0;
    if (has_before && has_after) before = std::clamp(before, narrowest, others - narrowest);
    const double width = right - left;
    if (has_before) stretches_.push_back({0, begin, left, left + before * width});
    const double middle = has_after ? given : 1 - before;
    stretches_.push_back({begin, end, left + before * width, left + (before + middle) * width});
    if (has_after) stretches_.push_back({end, total, left + (before + middle) * width, right});
  }

  [[nodiscard]] double x(double seconds) const {
    for (const auto& stretch : stretches_)
      if (seconds <= stretch.end || &stretch == &stretches_.back()) {
        const double share = (seconds - stretch.begin) / std::max(stretch.end - stretch.begin, 1e-9);
        return stretch.from + std::clamp(share, 0.0, 1.0) * (stretch.to - stretch.from);
      }
    return right;
  }

  [[nodiscard]] const std::vector<Stretch>& stretches() const { return stretches_; }

 private:
  std::vector<Stretch> stretches_;
};

// The step between two marks of an axis: round for people, and not too narrow.
double tick_step(const Stretch& stretch) {
  constexpr std::array<double, 31> steps{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3,
                                         5e-3, 0.01, 0.02, 0.05, 0.1,  0.2,  0.5,  1,    2,    5,    10,
                                         15,   30,   60,   120,  300,  600,  1800, 3600, 7200};
  constexpr double narrowest = 64;
  const double second = (stretch.to - stretch.from) / std::max(stretch.end - stretch.begin, 1e-9);
  for (const double step : steps)
    if (step * second >= narrowest) return step;
  double step = 4 * 3600;
  while (step * second < narrowest) step *= 2;
  return step;
}

class Page {
 public:
  explicit Page(const Timeline& timeline) : timeline_(timeline), scale_(timeline) {}

  std::string text() {
    head();
    axis_ = y_ + 16;
    y_ = axis_ + 10;
    for (const auto& row : timeline_.rows) draw(row);
    const double bottom = y_ + 4;
    end_mark(bottom);
    axis(bottom);
    y_ = bottom + 42;
    legend();
    answers();
    return fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
        "<title>{2}</title>\n"
        "<style>\n"
        "text {{ font-family: \"DejaVu Sans\", Verdana, Arial, sans-serif; font-size: 12px; fill: #1a1a1a; "
        "}}\n"
        ".title {{ font-size: 20px; font-weight: bold; }}\n"
        ".part {{ font-weight: bold; }}\n"
        ".name {{ text-anchor: end; }}\n"
        ".small {{ font-size: 11px; fill: #444; }}\n"
        ".halo {{ paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round; }}\n"
        ".tick {{ font-size: 11px; fill: #444; text-anchor: middle; }}\n"
        ".grid {{ stroke: #ddd; stroke-width: 1; }}\n"
        ".axis {{ stroke: #444; stroke-width: 1; fill: none; }}\n"
        ".bar {{ stroke: #1a1a1a; stroke-width: 0.6; }}\n"
        ".yes {{ fill: #0b6b2e; stroke: #fff; stroke-width: 1.2; }}\n"
        ".no {{ fill: #fff; stroke: #a00; stroke-width: 1.6; }}\n"
        ".cross {{ stroke: #a00; stroke-width: 1.6; fill: none; }}\n"
        ".end {{ stroke: #1a1a1a; stroke-width: 1.5; stroke-dasharray: 5 3; }}\n"
        "</style>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        "{3}{4}</svg>\n",
        px(page_width), px(y_ + 12), escape(timeline_.title), grid_, body_);
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    body_ += fmt::format(format, std::forward<Args>(args)...);
    body_ += '\n';
  }

  void write(double x, double y, std::string_view css, std::string_view text) {
    put("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>", px(x), px(y), css, escape(text));
  }

  void head() {
    y_ = 14;
    for (const auto& line : wrap(printable(timeline_.title), 72, 2)) {
      y_ += 24;
      write(24, y_ - 6, "title", line);
    }
    y_ += 4;
    for (const auto& paragraph : timeline_.about)
      for (const auto& line : wrap(printable(paragraph, 2000), words_a_line, 4)) {
        y_ += line_height;
        write(24, y_ - 4, "", line);
      }
    y_ += 14;
  }

  // The part that a row belongs to is told where it begins.
  void draw(const Timeline::Row& row) {
    if (!part_ || *part_ != row.part) {
      part_ = row.part;
      y_ += 8;
      if (row.part != Part::probation) {
        y_ += 14;
        put("<text x=\"24\" y=\"{}\" class=\"part\">{}</text>", px(y_ - 2), name_of(row.part));
      }
    }
    const double middle = y_ + row_height / 2;
    put("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>", px(left - 12), px(middle + 4),
        row.part == Part::probation ? "name part" : "name", escape(row.name));
    double last = left;
    double took = 0;
    for (const auto& bar : row.bars) {
      draw(bar, row, middle);
      last = std::max(last, scale_.x(bar.end));
      took += bar.end - bar.begin;
    }
    for (const auto& dot : row.dots) {
      draw(dot, middle);
      last = std::max(last, scale_.x(dot.at) + 4);
    }
    if (!row.bars.empty()) label(row, took, last, middle);
    y_ += row_height;
  }

  // How long it took, behind the last bar; beyond the end of all where it would be on that line.
  void label(const Timeline::Row& row, double took, double last, double middle) {
    const bool open = row.bars.back().open;
    unsigned times = 1; // with a pause between
    for (std::size_t i = 1; i < row.bars.size(); ++i)
      if (row.bars[i].begin > row.bars[i - 1].end + timeline_.seconds / 200) ++times;
    std::string text = time_text(took);
    if (open)
      text += " so far";
    else if (times > 1)
      text += fmt::format(", {} times", times);
    constexpr double letter = 6.6;
    double x = last + (open ? 14 : 8);
    if (x + letter * static_cast<double>(text.size()) > right - 4) x = std::max(x, right + 8);
    write(x, middle + 4, "small halo", text);
  }

  void draw(const Timeline::Bar& bar, const Timeline::Row& row, double middle) {
    const double from = scale_.x(bar.begin);
    const double width = std::max(scale_.x(bar.end) - from, 2.0);
    const std::string about = fmt::format(
        "{}{}: {}, from {} to {}", row.part == Part::rollback ? "rollback, " : "", row.name,
        time_text(bar.end - bar.begin), time_text(bar.begin), bar.open ? "now" : time_text(bar.end));
    put("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\" "
        "class=\"bar\"><title>{}</title></rect>",
        px(from), px(middle - bar_height / 2), px(width), px(bar_height), colour(row.part), escape(about));
    if (bar.open) // it goes on
      put("<path d=\"M{0} {1} l8 {2} l-8 {2} z\" fill=\"{3}\" class=\"bar\"/>", px(from + width),
          px(middle - bar_height / 2), px(bar_height / 2), colour(row.part));
  }

  void draw(const Timeline::Dot& dot, double middle) {
    mark(scale_.x(dot.at), middle, dot.yes,
         fmt::format("{}: {}", time_text(dot.at), dot.text.empty() ? "an answer" : dot.text));
  }

  void mark(double x, double y, bool yes, std::string_view about) {
    if (yes) {
      put("<circle cx=\"{}\" cy=\"{}\" r=\"4.5\" class=\"yes\"><title>{}</title></circle>", px(x), px(y),
          escape(about));
      return;
    }
    put("<g><title>{}</title><circle cx=\"{}\" cy=\"{}\" r=\"5\" class=\"no\"/>"
        "<path d=\"M{} {}l4.4 4.4m0 -4.4l-4.4 4.4\" class=\"cross\"/></g>",
        escape(about), px(x), px(y), px(x - 2.2), px(y - 2.2));
  }

  void end_mark(double bottom) {
    const double x = scale_.x(timeline_.seconds);
    put("<path d=\"M{0} {1}V{2}\" class=\"end\"/>", px(x), px(axis_), px(bottom + 6));
    const std::string words = fmt::format("{}{} {} {}", timeline_.open ? "now: " : "", timeline_.outcome,
                                          timeline_.open ? "for" : "after", time_text(timeline_.seconds));
    put("<text x=\"{}\" y=\"{}\" class=\"part\" text-anchor=\"{}\">{}</text>", px(x), px(bottom + 20),
        x > (left + right) / 2 ? "end" : "start", escape(words));
  }

  // Its lines lie behind all else.
  void axis(double bottom) {
    const auto put_behind = [this](const std::string& text) { grid_ += text + '\n'; };
    double free = 0; // where the next label may begin
    for (const auto& stretch : scale_.stretches()) {
      const bool is_first = &stretch == &scale_.stretches().front();
      const double step = tick_step(stretch);
      if (!is_first) {
        // The scale changes here.
        const double x = stretch.from;
        put_behind(fmt::format("<path d=\"M{0} {1}V{2}\" stroke=\"#444\" stroke-dasharray=\"1 3\"/>", px(x),
                               px(axis_), px(bottom)));
        put("<path d=\"M{} {}l4 -10m2 10l4 -10\" class=\"axis\"/>", px(x - 5), px(axis_ + 5));
      }
      for (int i = 0; stretch.begin + i * step <= stretch.end + 1e-9; ++i) {
        const double x = scale_.x(stretch.begin + i * step);
        const std::string label =
            i == 0 ? time_text(stretch.begin) : (is_first ? "" : "+") + time_text(i * step);
        const double half = 3.6 * static_cast<double>(label.size());
        put_behind(fmt::format("<path d=\"M{0} {1}V{2}\" class=\"grid\"/>", px(x), px(axis_), px(bottom)));
        if (x - half < free) continue;
        put("<text x=\"{}\" y=\"{}\" class=\"tick\">{}</text>", px(x), px(axis_ - 8), escape(label));
        free = x + half + 6;
      }
    }
    put_behind(fmt::format("<path d=\"M{} {}H{}\" class=\"axis\"/>", px(left), px(axis_), px(right)));
  }

  void legend() {
    double x = 24;
    const auto item = [&](std::string_view text) {
      write(x + 20, y_ + 4, "small", text);
      x += 20 + 6.4 * static_cast<double>(text.size()) + 16;
    };
    for (const Part part : {Part::deploy, Part::probation, Part::rollback}) {
      if (std::none_of(timeline_.rows.begin(), timeline_.rows.end(),
                       [part](const Timeline::Row& row) { return row.part == part; }))
        continue;
      put("<rect x=\"{}\" y=\"{}\" width=\"14\" height=\"10\" fill=\"{}\" class=\"bar\"/>", px(x), px(y_ - 5),
          colour(part));
      item(name_of(part));
    }
    for (const bool yes : {true, false}) {
      if (!has_dot(yes)) continue;
      mark(x + 8, y_, yes, yes ? "yes" : "no");
      item(yes ? "an answer that was yes" : "an answer that was no");
    }
    if (scale_.stretches().size() > 1) {
      put("<path d=\"M{} {}l4 -10m2 10l4 -10\" class=\"axis\"/>", px(x + 2), px(y_ + 5));
      item("the scale changes");
    }
    y_ += 14;
  }

  [[nodiscard]] bool has_dot(bool yes) const {
    return std::any_of(timeline_.rows.begin(), timeline_.rows.end(), [yes](const Timeline::Row& row) {
      return std::any_of(row.dots.begin(), row.dots.end(), [yes](const auto& dot) { return dot.yes == yes; });
    });
  }

  // On paper nobody can point at a dot: what was said is told below, the same words once.
  void answers() {
    std::vector<std::pair<const Timeline::Dot*, unsigned>> told;
    std::vector<const Timeline::Dot*> all;
    for (const auto& row : timeline_.rows)
      for (const auto& dot : row.dots)
        if (!dot.text.empty()) all.push_back(&dot);
    std::stable_sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->at < b->at; });
    for (const auto* dot : all) {
      if (!told.empty() && told.back().first->text == dot->text && told.back().first->yes == dot->yes)
        ++told.back().second;
      else
        told.emplace_back(dot, 1);
    }
    if (told.empty()) return;
    y_ += 12;
    for (std::size_t i = 0; i < told.size(); ++i) {
      // The first and the last ones tell the most.
      if (told.size() > most_answers && i == most_answers / 2) {
        const std::size_t skipped = told.size() - most_answers;
        y_ += line_height;
        write(104, y_ - 4, "small", fmt::format("... and {} more", skipped));
        i += skipped;
      }
      const auto& [dot, times] = told[i];
      y_ += line_height;
      mark(32, y_ - 8, dot->yes, dot->yes ? "yes" : "no");
      write(46, y_ - 4, "small", time_text(dot->at));
      const std::string text = printable(dot->text, 1000);
      const auto lines = wrap(text, 128, 1);
      write(104, y_ - 4, "small",
            (times > 1 ? fmt::format("({} times) ", times) : "") + (lines.empty() ? "" : lines.front()));
    }
  }

  const Timeline& timeline_;
  Scale scale_;
  double y_ = 0;
  double axis_ = 0;
  std::optional<Part> part_ = {};
  std::string grid_ = {};
  std::string body_ = {};
};

} // namespace

std::string to_svg(const Timeline& timeline) {
  return Page(timeline).text();
}

} // namespace safe_deploy
