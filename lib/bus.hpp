#pragma once

#include "deadline.hpp"
#include "error.hpp"
#include "event.hpp"

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace safe_deploy {

// EnvironmentFile=: a path, which may be a pattern as of glob(7), and whether it may be missing ('-').
struct EnvironmentFile {
  std::string path;
  bool optional = false;
};

// LoadCredential=: its name, and where it is read: an absolute path, or the name of a credential of the
// system.
struct CredentialSource {
  std::string name;
  std::string path;
};

// What systemd says of a unit; org.freedesktop.systemd1(5) describes the properties. What a unit does not
// have (a socket has no main process) keeps its default.
struct UnitState {
  std::string name;
  std::string load_state;   // "loaded", "not-found", "masked", "bad-setting" ...
  std::string active_state; // "active", "activating", "deactivating", "inactive", "failed" ...
  std::string sub_state;
  std::string result; // "success", "exit-code", "signal", "timeout", "start-limit-hit" ...
  std::string control_group;
  std::string invocation_id; // 32 hexadecimal digits; empty if it never ran
  std::string type;          // "simple", "notify", "oneshot" ...
  std::string exec_start;    // all words of all ExecStart= lines, with a space after each
  std::string exec_start_pre;
  std::string exec_start_post;
  std::string working_directory;
  // Environment=: "NAME=value", of which the value may be a secret, never to be told.
  std::vector<std::string> environment;
  std::vector<std::string> unset_environment; // UnsetEnvironment=: "NAME" or "NAME=value"
  std::vector<std::string> pass_environment;  // PassEnvironment=: names
  std::vector<EnvironmentFile> environment_files;
  // The names that LoadCredential=, SetCredential= and their encrypted forms give.
  std::vector<std::string> credentials;
  std::vector<CredentialSource> loaded_credentials; // those of LoadCredential= and its encrypted form
  std::vector<std::string> set_credentials;         // and those of SetCredential=
  std::vector<std::string> import_credentials;      // ImportCredential=: patterns of names
  pid_t main_pid = 0;
  pid_t control_pid = 0;        // of an ExecStartPre=, ExecStartPost= ... line that runs now
  std::uint32_t restarts = 0;   // NRestarts
  std::int32_t main_code = 0;   // ExecMainCode: CLD_EXITED, CLD_KILLED ... of sigaction(2); 0: never ended
  std::int32_t main_status = 0; // exit status or signal
  std::uint32_t start_limit_burst = 0;
  Duration start_limit_interval{};
  Duration timeout_start = without_limit;
  std::string restart; // Restart=: "no", "on-failure", "always" ...
  Duration restart_delay{};
  std::uint64_t memory_current = UINT64_MAX; // bytes; UINT64_MAX: not measured
  Clock::time_point inactive_exit{};         // when it last began to start
  bool need_daemon_reload = false;
  bool has_job = false;

  [[nodiscard]] bool is_busy() const {
    return has_job || active_state == "activating" || active_state == "deactivating";
  }
  // For a unit of ours. Only the watch is active while it is at work: the others start for as long.
  [[nodiscard]] bool is_at_work() const { return is_busy() || active_state == "active"; }
  // "exited with status 3", "was killed by SIGKILL"; empty if the main process never ended.
  [[nodiscard]] std::string how_main_ended() const;
};

// "claude-bridge" or "claude-bridge.service" to "claude-bridge.service".
std::string service_name(const std::string& name);

// A .socket unit that listens now, with what it listens on as systemd writes it: "[::]:9000",
// "127.0.0.1:9000",
// "/run/x.sock", "@abstract". The type is "Stream", "Datagram", "SequentialPacket" ...
struct SocketUnit {
  struct Listen {
    std::string type;
    std::string address;
  };
  std::string name;
  std::vector<Listen> listens;
};

// One line of a unit that runs a command, and how its last run went.
struct CommandRun {
  std::string path;
  std::vector<std::string> arguments; // without the first word, the command's name
  Clock::time_point started{};        // zero: not in this run of the unit
  Clock::time_point ended{};          // zero: it runs
  bool may_fail = false;              // its line begins with '-'
  std::string how_it_failed = {};     // "exited with status 3", "was killed by SIGKILL"; empty if it did not
};

// A thin seam over sd-bus: the system bus and systemd's manager on it. One thread at a time.
class Bus {
 public:
  // Every call is to be answered by the deadline, and within the bus's usual 25 s. Errors: os_error
  // (ETIMEDOUT among them).
  static Result<Bus> open_system(const Deadline& deadline = Deadline::never());
  // For the calls from now on.
  void set_deadline(const Deadline& deadline) { deadline_ = deadline; }

  Result<UnitState> unit(const std::string& name);

  // What systemd gives to all services (DefaultEnvironment=, "systemctl set-environment"): "NAME=value".
  Result<std::vector<std::string>> manager_environment();

  // The .socket units that listen, and the units that one of them starts.
  Result<std::vector<SocketUnit>> socket_units();
  Result<std::vector<std::string>> triggered_by(const std::string& socket_unit);

  // The lines of one kind of a service: "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost" or
  // "ExecStopPost".
  Result<std::vector<CommandRun>> commands(const std::string& unit, const std::string& kind);

  // "StartUnit", "StopUnit", "RestartUnit" with mode "replace"; returns when the job is queued, with its
  // object path. Without the right to do it: os_error, EACCES.
  Result<std::string> queue_job(const std::string& method, const std::string& unit);
  // Manager methods without arguments and result: "Reload", "Subscribe" ...
  Result<void> call_manager(const std::string& method);
  // EnableUnitFiles, DisableUnitFiles: makes or removes what [Install] says.
  Result<void> enable_unit_file(const std::string& unit);
  Result<void> disable_unit_file(const std::string& unit);
  // "enabled", "disabled", "static", "masked" ...; empty where there is no such unit file.
  Result<std::string> unit_file_state(const std::string& unit);

  // Calls back with each job that ends: its unit and its result ("done", "failed", "canceled", "dependency"
  // ...).
  using OnJob = std::function<void(const std::string& unit, const std::string& result)>;
  Result<void> on_job_removed(OnJob callback);
  Result<void> attach(EventLoop& loop);

  // Calls back when a property of the unit may have changed; unit() tells what is so now. For one who waits
  // without an EventLoop: fd() becomes readable, then process() makes the calls.
  using OnChange = std::function<void()>;
  Result<void> on_unit_changed(const std::string& name, OnChange callback);
  // The same for several units, with what the signal says has changed; the other fields are empty.
  using OnUnit = std::function<void(const std::string& unit, const UnitState& changed)>;
  Result<void> on_units_changed(const std::vector<std::string>& names, const OnUnit& callback);
  [[nodiscard]] int fd() const { return sd_bus_get_fd(bus_.get()); }
  Result<void> process();

 private:
  struct BusDeleter {
    void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
  };
  struct SlotDeleter {
    void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
  };

  Bus() = default;
  void limit_next_call();

  Deadline deadline_ = Deadline::never();
  // These outlive the slots that point at them.
  std::unique_ptr<OnJob> on_job_;
  std::unique_ptr<OnChange> on_change_;
  struct Watched {
    std::string unit;
    OnUnit callback;
  };
  std::vector<std::unique_ptr<Watched>> watched_;
  std::unique_ptr<sd_bus, BusDeleter> bus_;
  std::unique_ptr<sd_bus_slot, SlotDeleter> slot_;
  std::unique_ptr<sd_bus_slot, SlotDeleter> change_slot_;
  std::vector<std::unique_ptr<sd_bus_slot, SlotDeleter>> watched_slots_;
};

} // namespace safe_deploy
