#include "checks/unix_port_check.hpp"

#include "reach.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace safe_deploy {

namespace {

// What there is at a path.
struct FileSeen {
  int error_number = 0; // of stat(2)
  bool is_socket = false;
  std::uint64_t inode = 0;
  dev_t device = 0;
};

FileSeen look_at(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {.error_number = errno};
  return {0, S_ISSOCK(status.st_mode), status.st_ino, status.st_dev};
}

std::string_view last_component(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// The kernel tells the path as it was given to bind(2), which may be relative or in another mount namespace,
// and the file's inode and device, whose number is not always that of stat(2).
bool is_bound_to(const UnixSocket& socket, const Target& target, const FileSeen& file) {
  if (target.kind == Target::Kind::unix_abstract) {
    const std::string_view name = socket.name;
    return name.starts_with('\0') && name.substr(1) == target.name;
  }
  if (socket.name.empty() || socket.name.starts_with('\0')) return false;
  if (file.error_number != 0) // it cannot be seen whether it is that file
    return file.error_number != ENOENT && socket.name == target.name;
  if (!socket.file_inode) return socket.name == target.name;
  return *socket.file_inode == file.inode &&
         (socket.file_device == file.device || last_component(socket.name) == last_component(target.name));
}

std::string_view type_name(const UnixSocket& socket) {
  if (socket.state == SocketState::listen) return "LISTEN";
  return socket.type == SOCK_DGRAM ? "DGRAM" : "BOUND";
}

} // namespace

Answer UnixPortCheck::ask(const Deadline&) {
  seen_.reset();
  const FileSeen file =
      question_.target.kind == Target::Kind::unix_path ? look_at(question_.target.name) : FileSeen{};
  auto sockets = sockets_->unix_sockets(listening_states | state_bit(SocketState::close));
  if (!sockets) return ask_by_connecting(sockets.error());
  for (auto& socket : *sockets) {
    if (!is_bound_to(socket, question_.target, file)) continue;
    const bool better = !seen_ || socket.state == SocketState::listen;
    if (better) seen_ = std::move(socket);
  }
  if (!question_.free) return judge_listening();
  if (!seen_ && question_.strict && question_.target.kind == Target::Kind::unix_path &&
      file.error_number != ENOENT)
    return {.verdict = Verdict::no,
            .reason = "held",
            .sentence = fmt::format("{} is in the way, though nobody is bound to it", question_.target.text)};
  return judge_free();
}

Answer UnixPortCheck::ask_by_connecting(const Error& why) {
  if (!question_.unit.empty() || question_.strict) return cannot_look(question_.target, why);
  const Reached reached = reach_unix(question_.target);
  const bool connected = reached.how == Reached::How::connected;
  const bool absent = reached.how == Reached::How::refused || reached.error_number == ENOENT;
  if (question_.free ? absent : connected)
    return {Verdict::yes, "ok",
            fmt::format("{} is {}", question_.target.text, question_.free ? "free" : "listened on")};
  return {.verdict = Verdict::no,
          .reason = question_.free ? "held" : "not-listening",
          .sentence = reached.text()};
}

const Holder& UnixPortCheck::find_owner(const UnixSocket& socket) {
  if (owner_of_ != socket.inode) {
    owner_ = owner(socket);
    // Whose file descriptors it is among only root with CAP_SYS_PTRACE can see, and the tables do not tell
    // the cgroup. Who listens is told to those who connect; this is the one case where it is worth a
    // connection.
    if (owner_.pid == 0 && !owner_.unknown.empty() && socket.state == SocketState::listen)
      if (const auto pid = unix_listener(question_.target))
        if (auto listener = holder_of_process(*pid)) owner_ = *std::move(listener);
    owner_of_ = socket.inode;
  }
  return owner_;
}

Answer UnixPortCheck::judge_listening() {
  const std::string& label = question_.target.text;
  const bool listens = seen_ && (seen_->state == SocketState::listen || seen_->type == SOCK_DGRAM);
  if (!listens)
    return {.verdict = Verdict::no,
            .reason = "not-listening",
            .sentence = seen_ ? fmt::format("{} is bound, but nobody listens on it yet", label)
                              : fmt::format("nothing listens on {}", label),
            .counts = false};
  if (question_.unit.empty()) return {Verdict::yes, "ok", fmt::format("{} is listened on", label)};
  const Holder& holder = find_owner(*seen_);
  const auto owned = is_owned_by(holder, question_.unit);
  if (owned && *owned)
    return {Verdict::yes, "ok", fmt::format("{} is listened on by {}", label, holder.unit)};
  if (owned)
    return {.verdict = Verdict::no,
            .reason = "other-unit",
            .sentence = fmt::format("{} is held by {}, not by {}", label, holder.text(), question_.unit),
            .final = true};
  return {.verdict = Verdict::no,
          .reason = "unknown-owner",
          .sentence = fmt::format("{} is listened on, but whether by {} cannot be told: {}", label,
                                  question_.unit, holder.text()),
          .final = true};
}

Answer UnixPortCheck::judge_free() {
  const std::string& label = question_.target.text;
  if (!seen_) return {Verdict::yes, "ok", fmt::format("{} is free", label)};
  const Holder& holder = find_owner(*seen_);
  const bool socket_unit = holder.unit.ends_with(".socket");
  if (!question_.spare_unit.empty() && (socket_unit || !question_.spare_sockets_only) &&
      is_owned_by(holder, question_.spare_unit).value_or(false))
    return {Verdict::yes, "ok", fmt::format("{} is held by its own {}", label, holder.unit)};
  return {.verdict = Verdict::no,
          .reason = "held",
          .sentence = fmt::format("{} is held by {}", label, holder.text())};
}

std::optional<PortHolder> UnixPortCheck::holder() {
  if (!seen_) return std::nullopt;
  return PortHolder{std::string(type_name(*seen_)), find_owner(*seen_)};
}

} // namespace safe_deploy
