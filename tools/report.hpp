#pragma once

#include "deadline.hpp"

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace safe_deploy {

// The levels of syslog(3) that the tools use.
enum class Priority { error = 3, warning = 4, notice = 5, info = 6 };

// A message that has an entry in the journal catalog (units/safe-deploy.catalog) carries its id.
using MessageId = std::string_view;

// What a tool says while it works: on a terminal one live line, elsewhere a line when something changes, and
// in the journal (where stderr is connected to it) messages with fields. stdout is not its concern: that is
// for the answer.
class Reporter {
 public:
  explicit Reporter(std::string tool);
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter();

  void set_quiet(bool quiet) { quiet_ = quiet; }
  // A field of every journal message from here on: SAFE_DEPLOY_APP, SAFE_DEPLOY_RELEASE ...
  void set_field(std::string_view name, std::string value);

  [[nodiscard]] bool in_journal() const { return in_journal_; }
  [[nodiscard]] bool on_terminal() const { return on_terminal_; }

  using Fields = std::initializer_list<std::pair<std::string_view, std::string>>;

  // `tool: text` on stderr. Errors and warnings are printed even when quiet is set... errors only, that is.
  void say(Priority priority, std::string_view text, MessageId id = {}, Fields fields = {});

  // The live line of a terminal, replaced by the next one and wiped before anything else is printed. Nothing
  // elsewhere.
  void live(std::string_view text);
  void wipe_live();
  // A line that stays, without the tool's name before it; on a terminal it is cut to the width as well.
  void progress(std::string_view text);

 private:
  std::string tool_;
  std::vector<std::string> fields_; // "NAME=value"
  bool quiet_ = false;
  bool in_journal_ = false;
  bool on_terminal_ = false;
  bool live_shown_ = false;
};

// The text without what does not fit into so many columns, cut between characters. It is to be printable.
std::string fit(std::string_view text, std::size_t columns);

} // namespace safe_deploy
