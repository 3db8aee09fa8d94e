#pragma once

#include "app.hpp"
#include "fd.hpp"

#include <optional>
#include <string>

namespace safe_deploy::health {

// The record of an app that is on probation, while it is watched: somebody may call the release good or bad
// meanwhile, or lead back from it; or has done so before the watch began.
class Probation {
 public:
  // Nothing where its record cannot be watched.
  static std::optional<Probation> open(const App& app);

  // Readable when the record may have changed; then look().
  [[nodiscard]] int fd() const { return changes_.get(); }

  // Why the probation is over, once it is.
  std::optional<std::string> look();
  // How it ended: the release was called good, or bad, or something else leads on from it.
  enum class End { none, good, bad, elsewhere };
  [[nodiscard]] End end() const { return end_; }

 private:
  Probation(Fd changes, std::string state_dir, std::string app)
      : changes_(std::move(changes)), state_dir_(std::move(state_dir)), app_(std::move(app)) {}

  Fd changes_;
  std::string state_dir_;
  std::string app_;
  std::string candidate_ = {}; // empty: none was on probation any more
  End end_ = End::none;
};

} // namespace safe_deploy::health
