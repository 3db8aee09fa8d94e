#include "bus.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>

namespace safe_deploy {

namespace {

constexpr const char* manager_service = "org.freedesktop.systemd1";
constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";

class BusError {
 public:
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { sd_bus_error_free(&error_); }
  sd_bus_error* get() { return &error_; }

  // `result` is the negative errno of the call that filled the error.
  [[nodiscard]] tl::unexpected<Error> as_failure(std::string subject, const char* problem, int result) const {
    if (sd_bus_error_is_set(&error_) == 0 || error_.message == nullptr)
      return fail_errno(std::move(subject), problem, -result);
    return fail_errno(std::move(subject), fmt::format("{}: {}", problem, error_.message), -result);
  }

 private:
  sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

constexpr Duration usual_limit = std::chrono::seconds(25); // sd-bus: for one call

struct MessageDeleter {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageDeleter>;

struct FreeDeleter {
  void operator()(char* text) const { free(text); }
};

void read_text(sd_bus_message* message, std::string& to) {
  const char* text = nullptr;
  if (sd_bus_message_read(message, "s", &text) >= 0 && text != nullptr) to = text;
}

template <class To, class Wire>
void read_number(sd_bus_message* message, char type, To& to) {
  Wire value{};
  if (sd_bus_message_read_basic(message, type, &value) >= 0) to = static_cast<To>(value);
}

void read_flag(sd_bus_message* message, bool& to) {
  int value = 0; // D-Bus booleans are ints in sd-bus
  if (sd_bus_message_read_basic(message, 'b', &value) >= 0) to = value != 0;
}

std::uint64_t read_u64(sd_bus_message* message) {
  std::uint64_t value = UINT64_MAX;
  (void)sd_bus_message_read_basic(message, 't', &value);
  return value;
}

// systemd's USEC_INFINITY is the largest value.
Duration to_duration(std::uint64_t microseconds) {
  return microseconds >= static_cast<std::uint64_t>(without_limit.count())
             ? without_limit
             : Duration(static_cast<Duration::rep>(microseconds));
}

void read_invocation(sd_bus_message* message, std::string& to) {
  const void* bytes = nullptr;
  std::size_t size = 0;
  if (sd_bus_message_read_array(message, 'y', &bytes, &size) < 0 || size != 16) return;
  to.clear();
  for (std::size_t i = 0; i < size; ++i)
    to += fmt::format("{:02x}", static_cast<const unsigned char*>(bytes)[i]);
}

// a(sasbttttuii): path, words, whether failure is ignored, and how the last run went.
void read_exec(sd_bus_message* message, std::string& to) {
  if (sd_bus_message_enter_container(message, 'a', "(sasbttttuii)") < 0) return;
  while (sd_bus_message_enter_container(message, 'r', "sasbttttuii") > 0) {
    const char* path = nullptr;
    if (sd_bus_message_read(message, "s", &path) >= 0 &&
        sd_bus_message_enter_container(message, 'a', "s") >= 0) {
      to += fmt::format("{} ", path);
      const char* word = nullptr;
      for (bool first = true; sd_bus_message_read(message, "s", &word) > 0; first = false)
        if (!first) to += fmt::format("{} ", word);
      (void)sd_bus_message_exit_container(message);
    }
    (void)sd_bus_message_skip(message, "bttttuii");
    (void)sd_bus_message_exit_container(message);
  }
  (void)sd_bus_message_exit_container(message);
}

// as
void read_texts(sd_bus_message* message, std::vector<std::string>& to) {
  if (sd_bus_message_enter_container(message, 'a', "s") < 0) return;
  const char* text = nullptr;
  while (sd_bus_message_read(message, "s", &text) > 0) to.emplace_back(text);
  (void)sd_bus_message_exit_container(message);
}

// By si_code and si_status of sigaction(2).
std::string how_ended(int code, int status) {
  if (code == CLD_EXITED) return fmt::format("exited with status {}", status);
  if (code != CLD_KILLED && code != CLD_DUMPED) return "";
  const char* abbreviation = sigabbrev_np(status);
  return fmt::format(
      "was killed by {}{}",
      abbreviation != nullptr ? fmt::format("SIG{}", abbreviation) : fmt::format("signal {}", status),
      code == CLD_DUMPED ? " (core dumped)" : "");
}

// a(sasbttttuii), as read_exec() has it, for each of the lines: the times are those of the monotonic clock,
// in microseconds.
int read_commands(sd_bus_message* message, std::vector<CommandRun>& to) {
  int result = sd_bus_message_enter_container(message, 'a', "(sasbttttuii)");
  while (result >= 0 && (result = sd_bus_message_enter_container(message, 'r', "sasbttttuii")) > 0) {
    CommandRun run;
    read_text(message, run.path);
    read_texts(message, run.arguments);
    if (!run.arguments.empty()) run.arguments.erase(run.arguments.begin());
    int may_fail = 0;
    std::uint64_t started = 0;
    std::uint64_t ended = 0;
    std::uint64_t realtime = 0;
    result = sd_bus_message_read(message, "btttt", &may_fail, &realtime, &started, &realtime, &ended);
    std::uint32_t pid = 0;
    std::int32_t code = 0;
    std::int32_t status = 0;
    if (result < 0 || (result = sd_bus_message_read(message, "uii", &pid, &code, &status)) < 0) break;
    run.may_fail = may_fail != 0;
    if (code != 0 && status != 0) run.how_it_failed = how_ended(code, status);
    run.started = Clock::time_point(Duration(static_cast<Duration::rep>(started)));
    run.ended = Clock::time_point(Duration(static_cast<Duration::rep>(ended)));
    to.push_back(std::move(run));
    if ((result = sd_bus_message_exit_container(message)) < 0) break;
  }
  return result;
}

// a(sb): path, and whether it may be missing.
void read_files(sd_bus_message* message, std::vector<EnvironmentFile>& to) {
  if (sd_bus_message_enter_container(message, 'a', "(sb)") < 0) return;
  const char* path = nullptr;
  int optional = 0;
  while (sd_bus_message_read(message, "(sb)", &path, &optional) > 0) to.push_back({path, optional != 0});
  (void)sd_bus_message_exit_container(message);
}

// What sd_bus_get_property_strv(3) gives is to be freed.
std::vector<std::string> take_texts(char** raw) {
  std::vector<std::string> texts;
  for (char** text = raw; text != nullptr && *text != nullptr; ++text) {
    texts.emplace_back(*text);
    free(*text);
  }
  free(raw);
  return texts;
}

// a(ss): name and source.
void read_loaded_credentials(sd_bus_message* message, UnitState& unit) {
  if (sd_bus_message_enter_container(message, 'a', "(ss)") < 0) return;
  const char* name = nullptr;
  const char* path = nullptr;
  while (sd_bus_message_read(message, "(ss)", &name, &path) > 0) {
    unit.credentials.emplace_back(name);
    unit.loaded_credentials.push_back({name, path});
  }
  (void)sd_bus_message_exit_container(message);
}

// a(say): name and content, which is a secret.
void read_set_credentials(sd_bus_message* message, UnitState& unit) {
  if (sd_bus_message_enter_container(message, 'a', "(say)") < 0) return;
  const char* name = nullptr;
  while (sd_bus_message_enter_container(message, 'r', "say") > 0) {
    if (sd_bus_message_read(message, "s", &name) >= 0) {
      unit.credentials.emplace_back(name);
      unit.set_credentials.emplace_back(name);
    }
    (void)sd_bus_message_skip(message, "ay");
    (void)sd_bus_message_exit_container(message);
  }
  (void)sd_bus_message_exit_container(message);
}

using ReadProperty = void (*)(sd_bus_message*, UnitState&);

const std::map<std::string_view, ReadProperty>& property_readers() {
  using M = sd_bus_message*;
  static const std::map<std::string_view, ReadProperty> readers{
      {"Id", [](M m, UnitState& u) { read_text(m, u.name); }},
      {"LoadState", [](M m, UnitState& u) { read_text(m, u.load_state); }},
      {"ActiveState", [](M m, UnitState& u) { read_text(m, u.active_state); }},
      {"SubState", [](M m, UnitState& u) { read_text(m, u.sub_state); }},
      {"Result", [](M m, UnitState& u) { read_text(m, u.result); }},
      {"ControlGroup", [](M m, UnitState& u) { read_text(m, u.control_group); }},
      {"Type", [](M m, UnitState& u) { read_text(m, u.type); }},
      {"ExecStart", [](M m, UnitState& u) { read_exec(m, u.exec_start); }},
      {"ExecStartPre", [](M m, UnitState& u) { read_exec(m, u.exec_start_pre); }},
      {"ExecStartPost", [](M m, UnitState& u) { read_exec(m, u.exec_start_post); }},
      {"WorkingDirectory", [](M m, UnitState& u) { read_text(m, u.working_directory); }},
      {"Environment", [](M m, UnitState& u) { read_texts(m, u.environment); }},
      {"UnsetEnvironment", [](M m, UnitState& u) { read_texts(m, u.unset_environment); }},
      {"EnvironmentFiles", [](M m, UnitState& u) { read_files(m, u.environment_files); }},
      {"PassEnvironment", [](M m, UnitState& u) { read_texts(m, u.pass_environment); }},
      {"LoadCredential", read_loaded_credentials},
      {"LoadCredentialEncrypted", read_loaded_credentials},
      {"SetCredential", read_set_credentials},
      {"SetCredentialEncrypted", read_set_credentials},
      {"ImportCredential", [](M m, UnitState& u) { read_texts(m, u.import_credentials); }},
      {"InvocationID", [](M m, UnitState& u) { read_invocation(m, u.invocation_id); }},
      {"MainPID", [](M m, UnitState& u) { read_number<pid_t, std::uint32_t>(m, 'u', u.main_pid); }},
      {"ControlPID", [](M m, UnitState& u) { read_number<pid_t, std::uint32_t>(m, 'u', u.control_pid); }},
      {"NRestarts", [](M m, UnitState& u) { read_number<std::uint32_t, std::uint32_t>(m, 'u', u.restarts); }},
      {"ExecMainCode",
       [](M m, UnitState& u) { read_number<std::int32_t, std::int32_t>(m, 'i', u.main_code); }},
      {"ExecMainStatus",
       [](M m, UnitState& u) { read_number<std::int32_t, std::int32_t>(m, 'i', u.main_status); }},
      {"StartLimitBurst",
       [](M m, UnitState& u) { read_number<std::uint32_t, std::uint32_t>(m, 'u', u.start_limit_burst); }},
      {"StartLimitIntervalUSec",
       [](M m, UnitState& u) { u.start_limit_interval = to_duration(read_u64(m)); }},
      {"TimeoutStartUSec", [](M m, UnitState& u) { u.timeout_start = to_duration(read_u64(m)); }},
      {"Restart", [](M m, UnitState& u) { read_text(m, u.restart); }},
      {"RestartUSec", [](M m, UnitState& u) { u.restart_delay = to_duration(read_u64(m)); }},
      {"MemoryCurrent", [](M m, UnitState& u) { u.memory_current = read_u64(m); }},
      {"InactiveExitTimestampMonotonic",
       [](M m, UnitState& u) { u.inactive_exit = Clock::time_point(to_duration(read_u64(m))); }},
      {"NeedDaemonReload", [](M m, UnitState& u) { read_flag(m, u.need_daemon_reload); }},
  };
  return readers;
}

// Job is (id, path) of the job that is queued or runs; id 0: none.
void read_job(sd_bus_message* message, UnitState& unit) {
  std::uint32_t id = 0;
  const char* path = nullptr;
  if (sd_bus_message_read(message, "(uo)", &id, &path) >= 0) unit.has_job = id != 0;
}

// Walks an a{sv} and reads what is known; the rest is skipped.
int read_properties(sd_bus_message* message, UnitState& unit) {
  int result = sd_bus_message_enter_container(message, 'a', "{sv}");
  while (result >= 0 && (result = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
    const char* name = nullptr;
    const char* contents = nullptr;
    if ((result = sd_bus_message_read(message, "s", &name)) < 0) break;
    if ((result = sd_bus_message_peek_type(message, nullptr, &contents)) < 0) break;
    const auto reader = property_readers().find(name);
    const bool job = std::strcmp(name, "Job") == 0;
    if (reader == property_readers().end() && !job) {
      result = sd_bus_message_skip(message, "v");
    } else if ((result = sd_bus_message_enter_container(message, 'v', contents)) >= 0) {
      if (job)
        read_job(message, unit);
      else
        reader->second(message, unit);
      result = sd_bus_message_exit_container(message);
    }
    if (result < 0 || (result = sd_bus_message_exit_container(message)) < 0) break;
  }
  return result;
}

} // namespace

std::string service_name(const std::string& name) {
  for (const std::string_view suffix :
       {".service", ".socket", ".target", ".timer", ".scope", ".slice", ".mount", ".path"})
    if (name.ends_with(suffix)) return name;
  return name + ".service";
}

std::string UnitState::how_main_ended() const {
  return how_ended(main_code, main_status);
}

Result<Bus> Bus::open_system(const Deadline& deadline) {
  Bus bus;
  bus.deadline_ = deadline;
  sd_bus* raw = nullptr;
  if (const int result = sd_bus_open_system(&raw); result < 0)
    return fail_errno("system bus", "cannot connect", -result);
  bus.bus_.reset(raw);
  // Calls wait for the end of the handshake, and for that alone up to 90 s: so it is waited for here.
  const Deadline ready = Deadline::after(usual_limit).earlier(deadline);
  for (;;) {
    int result = sd_bus_process(raw, nullptr);
    if (result == 0) result = sd_bus_is_ready(raw);
    if (result == 0 && ready.has_passed()) result = -ETIMEDOUT;
    if (result == 0)
      result = sd_bus_wait(raw, static_cast<std::uint64_t>(ready.remaining().count())) < 0 ? -errno : 0;
    if (result < 0) return fail_errno("system bus", "cannot connect", -result);
    if (sd_bus_is_ready(raw) > 0) return bus;
  }
}

// 0 would be the bus's own default.
void Bus::limit_next_call() {
  const Duration left = std::clamp<Duration>(deadline_.remaining(), Duration(1), usual_limit);
  (void)sd_bus_set_method_call_timeout(bus_.get(), static_cast<std::uint64_t>(left.count()));
}

Result<UnitState> Bus::unit(const std::string& name) {
  char* raw_path = nullptr;
  // The object of a unit is at its escaped name, and asking it loads the unit: one round trip.
  if (const int result = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name.c_str(), &raw_path);
      result < 0)
    return fail_errno(name, "cannot be asked about", -result);
  const std::unique_ptr<char, FreeDeleter> path(raw_path);
  BusError error;
  sd_bus_message* raw = nullptr;
  limit_next_call();
  int result = sd_bus_call_method(bus_.get(), manager_service, path.get(), "org.freedesktop.DBus.Properties",
                                  "GetAll", error.get(), &raw, "s", "");
  const Message reply(raw);
  if (result < 0) return error.as_failure(name, "cannot ask systemd", result);
  UnitState unit;
  result = read_properties(reply.get(), unit);
  if (result < 0) return fail_errno(name, "cannot read systemd's answer", -result);
  return unit;
}

Result<std::vector<std::string>> Bus::manager_environment() {
  BusError error;
  char** raw = nullptr;
  limit_next_call();
  const int result = sd_bus_get_property_strv(bus_.get(), manager_service, manager_path, manager_interface,
                                              "Environment", error.get(), &raw);
  if (result < 0) return error.as_failure("systemd", "cannot ask for its environment", result);
  return take_texts(raw);
}

Result<std::vector<CommandRun>> Bus::commands(const std::string& unit, const std::string& kind) {
  char* raw_path = nullptr;
  int result = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &raw_path);
  if (result < 0) return fail_errno(unit, "cannot be asked about", -result);
  const std::unique_ptr<char, FreeDeleter> path(raw_path);
  BusError error;
  sd_bus_message* raw = nullptr;
  limit_next_call();
  result = sd_bus_get_property(bus_.get(), manager_service, path.get(), "org.freedesktop.systemd1.Service",
                               kind.c_str(), error.get(), &raw, "a(sasbttttuii)");
  const Message reply(raw);
  if (result < 0) return error.as_failure(unit, "cannot ask systemd", result);
  std::vector<CommandRun> runs;
  if (result = read_commands(reply.get(), runs); result < 0)
    return fail_errno(unit, "cannot read systemd's answer", -result);
  return runs;
}

Result<std::string> Bus::queue_job(const std::string& method, const std::string& unit) {
  BusError error;
  sd_bus_message* raw = nullptr;
  limit_next_call();
  const int result = sd_bus_call_method(bus_.get(), manager_service, manager_path, manager_interface,
                                        method.c_str(), error.get(), &raw, "ss", unit.c_str(), "replace");
  const Message reply(raw);
  if (result < 0) return error.as_failure(unit, "systemd refused", result);
  const char* job = nullptr;
  if (const int got = sd_bus_message_read(reply.get(), "o", &job); got < 0)
    return fail_errno(unit, "cannot read systemd's answer", -got);
  return std::string(job);
}

Result<void> Bus::call_manager(const std::string& method) {
  BusError error;
  limit_next_call();
  const int result = sd_bus_call_method(bus_.get(), manager_service, manager_path, manager_interface,
                                        method.c_str(), error.get(), nullptr, nullptr);
  if (result < 0) return error.as_failure("systemd", method.c_str(), result);
  return {};
}

Result<void> Bus::enable_unit_file(const std::string& unit) {
  BusError error;
  limit_next_call();
  const int result =
      sd_bus_call_method(bus_.get(), manager_service, manager_path, manager_interface, "EnableUnitFiles",
                         error.get(), nullptr, "asbb", 1, unit.c_str(), 0, 0);
  if (result < 0) return error.as_failure(unit, "cannot enable", result);
  return {};
}

Result<void> Bus::disable_unit_file(const std::string& unit) {
  BusError error;
  limit_next_call();
  const int result = sd_bus_call_method(bus_.get(), manager_service, manager_path, manager_interface,
                                        "DisableUnitFiles", error.get(), nullptr, "asb", 1, unit.c_str(), 0);
  if (result < 0) return error.as_failure(unit, "cannot disable", result);
  return {};
}

Result<std::string> Bus::unit_file_state(const std::string& unit) {
  BusError error;
  sd_bus_message* raw = nullptr;
  limit_next_call();
  const int result = sd_bus_call_method(bus_.get(), manager_service, manager_path, manager_interface,
                                        "GetUnitFileState", error.get(), &raw, "s", unit.c_str());
  const Message reply(raw);
  if (result == -ENOENT) return std::string();
  if (result < 0) return error.as_failure(unit, "cannot ask whether it is enabled", result);
  const char* state = nullptr;
  if (const int got = sd_bus_message_read(reply.get(), "s", &state); got < 0)
    return fail_errno(unit, "cannot read systemd's answer", -got);
  return std::string(state);
}

Result<void> Bus::on_job_removed(OnJob callback) {
  on_job_ = std::make_unique<OnJob>(std::move(callback));
  const auto call = [](sd_bus_message* message, void* self, sd_bus_error*) {
    std::uint32_t id = 0;
    const char* job = nullptr;
    const char* unit = nullptr;
    const char* outcome = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &outcome) >= 0)
      (*static_cast<OnJob*>(self))(unit, outcome);
    return 0;
  };
  sd_bus_slot* slot = nullptr;
  const int result = sd_bus_match_signal(bus_.get(), &slot, manager_service, manager_path, manager_interface,
                                         "JobRemoved", call, on_job_.get());
  if (result < 0) return fail_errno("system bus", "cannot listen for jobs", -result);
  slot_.reset(slot);
  return call_manager("Subscribe");
}

Result<void> Bus::attach(EventLoop& loop) {
  if (const int result = sd_bus_attach_event(bus_.get(), loop.get(), SD_EVENT_PRIORITY_NORMAL); result < 0)
    return fail_errno("system bus", "cannot wait for it", -result);
  return {};
}

namespace {

// a(ss)
std::vector<SocketUnit::Listen> read_listens(sd_bus_message* message) {
  std::vector<SocketUnit::Listen> listens;
  if (sd_bus_message_enter_container(message, 'a', "(ss)") < 0) return listens;
  const char* type = nullptr;
  const char* address = nullptr;
  while (sd_bus_message_read(message, "(ss)", &type, &address) > 0) listens.push_back({type, address});
  return listens;
}

} // namespace

Result<std::vector<SocketUnit>> Bus::socket_units() {
  BusError error;
  sd_bus_message* raw = nullptr;
  limit_next_call();
  int result =
      sd_bus_call_method(bus_.get(), manager_service, manager_path, manager_interface, "ListUnitsByPatterns",
                         error.get(), &raw, "asas", 1, "active", 1, "*.socket");
  const Message reply(raw);
  if (result < 0) return error.as_failure("systemd", "cannot list the socket units", result);
  std::vector<SocketUnit> units;
  // Name, description, load, active and sub state, followed unit, object path, job id, type and path.
  result = sd_bus_message_enter_container(reply.get(), 'a', "(ssssssouso)");
  const char* name = nullptr;
  const char* path = nullptr;
  while (result >= 0 && (result = sd_bus_message_enter_container(reply.get(), 'r', "ssssssouso")) > 0) {
    if ((result = sd_bus_message_read(reply.get(), "s", &name)) < 0) break;
    if ((result = sd_bus_message_skip(reply.get(), "sssss")) < 0) break;
    if ((result = sd_bus_message_read(reply.get(), "o", &path)) < 0) break;
    if ((result = sd_bus_message_skip(reply.get(), "uso")) < 0) break;
    result = sd_bus_message_exit_container(reply.get());
    sd_bus_message* raw_listens = nullptr;
    const int got = sd_bus_get_property(bus_.get(), manager_service, path, "org.freedesktop.systemd1.Socket",
                                        "Listen", nullptr, &raw_listens, "a(ss)");
    const Message listens(raw_listens);
    if (got >= 0) units.push_back({name, read_listens(listens.get())});
  }
  if (result < 0) return fail_errno("systemd", "cannot read the list of socket units", -result);
  return units;
}

Result<std::vector<std::string>> Bus::triggered_by(const std::string& socket_unit) {
  char* raw_path = nullptr;
  int result = sd_bus_path_encode("/org/freedesktop/systemd1/unit", socket_unit.c_str(), &raw_path);
  if (result < 0) return fail_errno(socket_unit, "cannot be asked about", -result);
  const std::unique_ptr<char, FreeDeleter> path(raw_path);
  BusError error;
  char** raw = nullptr;
  result = sd_bus_get_property_strv(bus_.get(), manager_service, path.get(), "org.freedesktop.systemd1.Unit",
                                    "Triggers", error.get(), &raw);
  if (result < 0) return error.as_failure(socket_unit, "cannot ask systemd", result);
  return take_texts(raw);
}

Result<void> Bus::on_unit_changed(const std::string& name, OnChange callback) {
  char* raw_path = nullptr;
  int result = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name.c_str(), &raw_path);
  if (result < 0) return fail_errno(name, "cannot be asked about", -result);
  const std::unique_ptr<char, FreeDeleter> path(raw_path);
  on_change_ = std::make_unique<OnChange>(std::move(callback));
  const auto call = [](sd_bus_message*, void* self, sd_bus_error*) {
    (*static_cast<OnChange*>(self))();
    return 0;
  };
  sd_bus_slot* slot = nullptr;
  result =
      sd_bus_match_signal(bus_.get(), &slot, manager_service, path.get(), "org.freedesktop.DBus.Properties",
                          "PropertiesChanged", call, on_change_.get());
  if (result < 0) return fail_errno("system bus", "cannot listen for changes of a unit", -result);
  change_slot_.reset(slot);
  return call_manager("Subscribe");
}

Result<void> Bus::on_units_changed(const std::vector<std::string>& names, const OnUnit& callback) {
  const auto call = [](sd_bus_message* message, void* self, sd_bus_error*) {
    const auto& watched = *static_cast<Watched*>(self);
    UnitState changed;
    const char* interface = nullptr;
    if (sd_bus_message_read(message, "s", &interface) >= 0 && read_properties(message, changed) >= 0)
      watched.callback(watched.unit, changed);
    return 0;
  };
  for (const auto& name : names) {
    char* raw_path = nullptr;
    int result = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name.c_str(), &raw_path);
    if (result < 0) return fail_errno(name, "cannot be asked about", -result);
    const std::unique_ptr<char, FreeDeleter> path(raw_path);
    watched_.push_back(std::make_unique<Watched>(Watched{name, callback}));
    sd_bus_slot* slot = nullptr;
    result =
        sd_bus_match_signal(bus_.get(), &slot, manager_service, path.get(), "org.freedesktop.DBus.Properties",
                            "PropertiesChanged", call, watched_.back().get());
    if (result < 0) return fail_errno("system bus", "cannot listen for changes of units", -result);
    watched_slots_.emplace_back(slot);
  }
  return {};
}

Result<void> Bus::process() {
  for (;;) {
    const int result = sd_bus_process(bus_.get(), nullptr);
    if (result < 0) return fail_errno("system bus", "cannot read", -result);
    if (result == 0) return {};
  }
}

} // namespace safe_deploy
