#include "health/conclusion.hpp"

#include "quantity.hpp"

#include <fmt/format.h>

#include <cstring>

namespace safe_deploy::health {

namespace {

constexpr int code_of(Outcome outcome) {
  return static_cast<int>(outcome);
}

// What is neither a yes nor a no stands out.
std::string_view prefix(Verdict verdict) {
  return verdict == Verdict::warning ? "warning: " : verdict == Verdict::skipped ? "skipped: " : "";
}

const Asking* first_no(const Waited& waited) {
  for (const auto& asking : waited.answers)
    if (asking.answer.objects()) return &asking;
  return nullptr;
}

std::string named(const Asking& asking, const Request& request) {
  return request.app ? fmt::format("{}: {}", asking.name, asking.answer.sentence) : asking.answer.sentence;
}

std::string all_noes(const Waited& waited, const Request& request) {
  std::string text;
  std::string_view before; // a check and its gate may find the same
  for (const auto& asking : waited.answers) {
    if (!asking.answer.objects() || asking.answer.sentence == before) continue;
    text += (text.empty() ? "" : "; ") + named(asking, request);
    before = asking.answer.sentence;
  }
  return text;
}

// Where no check could be asked at all: why. Nothing otherwise.
std::string nothing_asked(const Waited& waited, const Request& request) {
  std::string text;
  for (const auto& asking : waited.answers) {
    if (asking.answer.verdict != Verdict::skipped) return "";
    text += (text.empty() ? "nothing could be asked: " : "; ") + named(asking, request);
  }
  return text;
}

std::string how_process_ended(const Process& process, const Request& request) {
  std::string how = process.how_it_ended();
  if (how != "is gone" || request.unit.empty()) return how;
  const std::string told = how_unit_ended(request.unit);
  return told.empty() ? how : told;
}

Conclusion conclude_no(const Waited& waited, const Request& request) {
  const Asking& asking = waited.answers[waited.decisive];
  Conclusion conclusion{code_of(Outcome::no), "unhealthy", asking.answer.reason, named(asking, request),
                        asking.name};
  if (waited.end == Waited::End::fell)
    conclusion.text += request.is_watch
                           ? fmt::format(", after {} of the watch", format_duration(waited.elapsed))
                           : ", after it had been healthy";
  if (waited.end == Waited::End::gave_up && waited.attempts > 1)
    conclusion.text += fmt::format("; {} attempts in {}", waited.attempts, format_duration(waited.elapsed));
  return conclusion;
}

Conclusion conclude_late(const Waited& waited, const Request& request, const Watched& watched) {
  const Asking* no = first_no(waited);
  std::string text = no != nullptr ? all_noes(waited, request) : nothing_asked(waited, request);
  text += fmt::format("{}waited {}", text.empty() ? "" : "; ", format_duration(waited.elapsed));
  if (watched.start_limit.time != without_limit && waited.elapsed < request.timeout)
    text += fmt::format(", for TimeoutStartSec= is {}", format_duration(watched.start_limit.time));
  return {code_of(Outcome::timed_out), "timeout", no != nullptr ? no->answer.reason : "timeout", text,
          no != nullptr ? no->name : ""};
}

Json to_json(const Asking& asking) {
  Json figures = Json::object();
  for (const auto& figure : asking.answer.figures) figures[figure.name] = figure.value;
  return {{"name", asking.name},
          {"ok", asking.answer.good()},
          {"verdict", word(asking.answer.verdict)},
          {"reason", asking.answer.reason},
          {"message", asking.answer.sentence},
          {"took", std::chrono::duration<double>(asking.took).count()},
          {"figures", std::move(figures)}};
}

} // namespace

Conclusion conclude(const Waited& waited, const Request& request, const Watched& watched) {
  const auto with_last = [&](const std::string& text) {
    const std::string noes = all_noes(waited, request);
    return noes.empty() ? text : fmt::format("{}; {}", text, noes);
  };
  if (const auto error = request.late_error->get())
    return {code_of(error->outcome()), "usage", "filter", error->text()};
  switch (waited.end) {
    case Waited::End::yes:
      break;
    case Waited::End::gave_up:
    case Waited::End::fell:
      return conclude_no(waited, request);
    case Waited::End::timed_out:
      return conclude_late(waited, request, watched);
    case Waited::End::process_ended: {
      const std::string how = how_process_ended(*watched.process, request);
      const pid_t pid = watched.process->pid();
      const std::string who = request.unit.empty()
                                  ? fmt::format("process {}", pid)
                                  : fmt::format("the main process of {} (pid {})", request.unit, pid);
      const UnitState* unit = watched.unit ? watched.unit->state() : nullptr;
      return {code_of(Outcome::no), "process-ended", "process-ended",
              with_last(with_last_words(fmt::format("{} {}", who, how), unit, pid))};
    }
    case Waited::End::told:
      switch (watched.probation ? watched.probation->end() : Probation::End::none) {
        case Probation::End::good:
          return {0, "probation-over", "good", waited.told};
        case Probation::End::bad:
          return {code_of(Outcome::no), "unhealthy", "bad", waited.told};
        case Probation::End::elsewhere:
          return {code_of(Outcome::no), "probation-over", "phase", waited.told};
        case Probation::End::none:
          break;
      }
      return {code_of(Outcome::no), "unit-ended", "unit-ended",
              with_last(with_last_words(waited.told, watched.unit ? watched.unit->state() : nullptr, 0))};
    case Waited::End::signalled:
      return {128 + waited.signal, "signal", "signal",
              with_last(fmt::format("stopped by SIG{}", sigabbrev_np(waited.signal)))};
  }
  std::string text = nothing_asked(waited, request);
  if (!text.empty()) return {0, "healthy", "ok", text};
  for (const auto& asking : waited.answers)
    text += fmt::format("{}{}{}", text.empty() ? "" : "; ", prefix(asking.answer.verdict),
                        named(asking, request));
  if (text.empty()) text = "nothing is asked";
  return {0, "healthy", "ok",
          fmt::format("{}; healthy {} {}", text, request.is_watch ? "for" : "after",
                      format_duration(waited.elapsed))};
}

Conclusion not_begun(const std::string& why) {
  return {code_of(Outcome::no), "process-ended", "process-ended", why};
}

Json to_json(const Waited& waited, const Conclusion& conclusion) {
  Json checks = Json::array();
  for (const auto& asking : waited.answers) checks.push_back(to_json(asking));
  return {{"outcome", conclusion.outcome}, {"reason", conclusion.reason},
          {"message", conclusion.text},    {"elapsed", std::chrono::duration<double>(waited.elapsed).count()},
          {"attempts", waited.attempts},   {"checks", std::move(checks)}};
}

} // namespace safe_deploy::health
