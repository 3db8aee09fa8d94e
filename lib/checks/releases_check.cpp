#include "checks/releases_check.hpp"

#include <fmt/format.h>

namespace safe_deploy {

namespace {

Answer no(std::string reason, const Error& error) {
  return {.verdict = Verdict::no, .reason = std::move(reason), .sentence = error.text()};
}

} // namespace

Answer ReleasesCheck::ask(const Deadline&) {
  if (const auto set = config_.needs_releases(); !set) return no("config", set.error());
  const auto releases = Releases::open(config_);
  if (!releases) return no("releases", releases.error());
  const auto current = releases->named_by(config_.link);
  if (!current) return no("link", current.error());
  // A record that cannot be read is set aside by the deploy: nothing is known of any release then.
  const auto state = Ledger::read(places_.state_dir, config_.app);
  if (state && state->has_candidate()) return Answer::no("under-way", what_is_under_way(*state, config_));
  const auto next = release_to_deploy(*releases, state.value_or(State{}), config_, places_, {});
  if (!next) return no("none", next.error());
  Answer answer{.verdict = Verdict::yes, .reason = "ok", .sentence = {}};
  answer.figures = {{"releases", static_cast<double>(releases->names().size()), ""}};
  if (!state) {
    answer.verdict = Verdict::warning;
    answer.reason = "record";
    answer.sentence = fmt::format("{} would be deployed, but the record cannot be read: {}", next->release,
                                  state.error().text());
  } else if (next->release == *current && next->force) {
    answer.sentence = fmt::format("{} is current, and deployed once more", *current);
  } else if (next->release == *current) {
    answer.verdict = Verdict::warning;
    answer.reason = "nothing-new";
    answer.sentence = fmt::format("{} is current already, and nothing newer can be deployed", *current);
  } else {
    answer.sentence = fmt::format("{} is next, {}", next->release,
                                  current->empty() ? "the first one" : *current + " is current");
  }
  return answer;
}

} // namespace safe_deploy
