#pragma once

#include "check.hpp"
#include "checks/judges.hpp"
#include "checks/kinds.hpp"
#include "checks/values.hpp"
#include "program.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace safe_deploy {

// What a program says that keeps to the Monitoring Plugins' guidelines: its exit status is the verdict, its
// first line the sentence, and what stands behind a '|' are figures. Reasons: "warning" (1), "critical" (2),
// "unknown" (3), "status" (any other), "signal", "timeout", "not-found", "not-executable"; skipped as
// "system" where there can be no process, and as "permission" where it is to be another user's and can't. The
// program's arguments, which may be secret, are never told.
class ExecCheck final : public Check {
 public:
  ExecCheck(std::vector<std::string> words, std::vector<std::string> environment);

  Answer ask(const Deadline& deadline) override;

 private:
  [[nodiscard]] Answer judge(const ProgramRun& run, const Deadline& deadline) const;
  [[nodiscard]] Answer judge_ended(const ProgramRun& run) const;
  [[nodiscard]] Answer judge_not_started(const ProgramRun& run) const;

  Program program_;
  std::string name_; // the last part of its path
};

// The figures in performance data: 'label'=value[UOM];[warn];[crit];[min];[max], parted by white space. At
// most 20, each label once; what is malformed, or has no value (U), is passed over. Seconds and bytes are
// told in just these; the units KB, MB ... of the plugins are powers of 1024.
std::vector<Figure> read_performance_data(std::string_view text);

// exec = PROGRAM ARGUMENT..., user = NAME.
inline constexpr KindKey exec_keys[] = {{"exec", judge::command}, {"user"}};
inline constexpr Explanation exec_explained{
    "What no other kind of check can tell a program can: the plugins that monitoring has already, or a "
    "script of your own.",
    "Run the program by hand, as the same user and with the environment of the unit that asks; its sentence "
    "says what it found."};
Result<std::shared_ptr<Check>> make_exec_check(const Values& values);

} // namespace safe_deploy
