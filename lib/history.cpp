#include "history.hpp"

#include "fd.hpp"
#include "json.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace safe_deploy {

namespace {

Asker asker_of(const Json& line) {
  Asker asker;
  const auto by = line.find("by");
  if (by == line.end() || !by->is_object()) return asker;
  const auto uid = by->find("uid");
  if (uid != by->end() && uid->is_number_unsigned() &&
      uid->get<std::uint64_t>() <= std::numeric_limits<uid_t>::max())
    asker.uid = uid->get<uid_t>();
  asker.user = text_in(*by, "user");
  asker.sudo_user = text_in(*by, "sudo_user");
  asker.job = text_in(*by, "job");
  return asker;
}

HistoryStep step_of(const Json& line) {
  HistoryStep step{.event = text_in(line, "event"),
                   .at = text_in(line, "at"),
                   .boot = text_in(line, "boot"),
                   .release = text_in(line, "release"),
                   .reason = text_in(line, "reason"),
                   .phase = text_in(line, "phase")};
  if (const auto seconds = line.find("monotonic"); seconds != line.end() && seconds->is_number())
    step.monotonic = seconds->get<double>();
  return step;
}

// Puts the lines together. A deploy is open from its first step until the phase is idle or stuck again.
class Reading {
 public:
  void add(const std::string& text) {
    const Json line = parse_json(text);
    if (!line.is_object()) return;
    HistoryStep step = step_of(line);
    const auto number = line.find("deploy");
    if (step.event.empty() || number == line.end() || !number->is_number_unsigned()) return;
    if (begins(step, number->get<std::uint64_t>())) begin(step, line, number->get<std::uint64_t>());
    if (open_ && deploys_.back().number == number->get<std::uint64_t>() && belongs(step))
      take(std::move(step));
  }

  std::vector<Deploy> end() { return std::move(deploys_); }

 private:
  // A rollback is a deploy of its own where it ends no other one.
  [[nodiscard]] bool begins(const HistoryStep& step, std::uint64_t number) const {
    if (step.event == "swap-intended") return true;
    const bool goes_on = open_ && deploys_.back().number == number;
    // Of a deploy whose first line is lost, this much is known all the same.
    return (step.event == "rollback-intended" || step.event == "swapped") && !goes_on;
  }

  void begin(const HistoryStep& step, const Json& line, std::uint64_t number) {
    // Another one can't begin while one is under way: the lines that tell how it ended are lost.
    if (open_) deploys_.back().outcome = "interrupted";
    const bool by_hand = step.event == "rollback-intended";
    const auto forced = line.find("forced");
    deploys_.push_back({.number = number,
                        .kind = by_hand ? "rollback" : "deploy",
                        .release = step.release,
                        .from = text_in(line, "from"),
                        .by = asker_of(line),
                        .forced = forced != line.end() && forced->is_boolean() && forced->get<bool>(),
                        .outcome = "under way",
                        .reason = step.reason,
                        .steps = {}});
    open_ = true;
  }

  // Verdicts by hand on other releases, and what is pruned meanwhile, are no steps of the deploy.
  [[nodiscard]] bool belongs(const HistoryStep& step) const {
    static constexpr std::string_view steps[] = {
        "swap-intended", "swapped",     "passed", "failure",    "rollback-intended", "rolled-back",
        "abandoned",     "interrupted", "stuck",  "taken-back", "probation-again",   "rebuilt"};
    if (std::find(std::begin(steps), std::end(steps), step.event) != std::end(steps)) return true;
    return (step.event == "good" || step.event == "bad") && step.release == deploys_.back().release;
  }

  void take(HistoryStep step) {
    Deploy& deploy = deploys_.back();
    const bool is_over = step.phase == "idle" || step.phase == "stuck";
    std::string outcome = is_over                     ? outcome_of(step.event)
                          : step.phase == "probation" ? "probation"
                                                      : "under way";
    if (!outcome.empty()) deploy.outcome = std::move(outcome);
    // A failure that was noted on the way is none where it ended well.
    if (step.event == "good" || (!step.reason.empty() && (is_over || deploy.reason.empty())))
      deploy.reason = step.reason;
    deploy.steps.push_back(std::move(step));
    if (is_over) open_ = false;
  }

  // Of the step that ends a deploy.
  static std::string outcome_of(const std::string& event) {
    if (event == "taken-back") return "abandoned";
    if (event == "rebuilt") return "interrupted"; // the record was lost in its middle
    if (event == "good" || event == "rolled-back" || event == "abandoned" || event == "stuck") return event;
    return "interrupted";
  }

  std::vector<Deploy> deploys_;
  bool open_ = false; // the last one
};

// Lines of the last `size` bytes of a file, the first of which may be cut and is then left out.
Result<std::vector<std::string>> last_lines(int fd, std::size_t length, std::size_t size,
                                            const std::string& shown) {
  const std::size_t begin = length > size ? length - size : 0;
  std::string text(length - begin, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = pread(fd, text.data() + have, text.size() - have, static_cast<off_t>(begin + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(shown, "cannot read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  std::vector<std::string> lines;
  std::size_t from = 0;
  if (begin > 0) from = std::min(text.find('\n'), text.size() - 1) + 1;
  for (std::size_t end = text.find('\n', from); end != std::string::npos;
       from = end + 1, end = text.find('\n', from))
    lines.push_back(text.substr(from, end - from)); // what no newline ends is torn
  return lines;
}

} // namespace

std::optional<double> Deploy::took() const {
  if (steps.empty() || steps.front().boot.empty() || steps.front().boot != steps.back().boot)
    return std::nullopt;
  const double seconds = steps.back().monotonic - steps.front().monotonic;
  if (!(seconds >= 0)) return std::nullopt;
  return seconds;
}

std::vector<Deploy> deploys_of(const std::vector<std::string>& history_lines) {
  Reading reading;
  for (const auto& line : history_lines) reading.add(line);
  return reading.end();
}

Result<std::vector<Deploy>> last_deploys(const std::string& state_dir, const std::string& app,
                                         std::size_t most, const std::string& since) {
  const std::string shown = fmt::format("{}/{}/history.jsonl", state_dir, app);
  const Fd file(open(shown.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file && errno == ENOENT) return std::vector<Deploy>();
  if (!file) return fail_errno(shown, "cannot open");
  struct stat status {};
  if (fstat(file.get(), &status) < 0) return fail_errno(shown, "cannot look at");
  if (!S_ISREG(status.st_mode)) return fail(Outcome::no, shown, "is not a regular file");
  const auto length = static_cast<std::size_t>(status.st_size);
  constexpr std::size_t first = 64U << 10U;
  for (std::size_t size = first;; size *= 8) {
    auto lines = last_lines(file.get(), length, size, shown);
    if (!lines) return forward_error(lines);
    std::vector<Deploy> deploys = deploys_of(*lines);
    // The first one of a part may have begun before it.
    const bool is_whole = size >= length;
    if (!is_whole && !deploys.empty()) deploys.erase(deploys.begin());
    const auto is_before = [&](const Deploy& deploy) {
      return !deploy.steps.empty() && deploy.steps.front().at < since;
    };
    const bool reaches = !since.empty() && std::any_of(deploys.begin(), deploys.end(), is_before);
    if (!is_whole && !reaches && deploys.size() < most) continue;
    if (!since.empty()) std::erase_if(deploys, is_before);
    if (deploys.size() > most)
      deploys.erase(deploys.begin(), deploys.end() - static_cast<std::ptrdiff_t>(most));
    return deploys;
  }
}

} // namespace safe_deploy
