#include "owner.hpp"

#include "bus.hpp"
#include "target.hpp"

#include <unistd.h>

#include <algorithm>

namespace safe_deploy {

namespace {

// systemd's own cgroup: the system manager's as PID 1 sees it.
bool is_held_by_systemd(const Holder& holder) {
  return holder.unit == "init.scope" && holder.user_unit.empty();
}

bool is_listen_of(const SocketUnit::Listen& listen, Protocol protocol, const Endpoint& endpoint) {
  if (listen.type != (protocol == Protocol::tcp ? "Stream" : "Datagram")) return false;
  const auto target = parse_target(listen.address);
  return target && target->kind == Target::Kind::address && target->port == endpoint.port &&
         target->address == endpoint.address.unmapped();
}

bool is_listen_of(const SocketUnit::Listen& listen, const UnixSocket& socket) {
  std::string name = socket.name;
  if (name.starts_with('\0')) name.front() = '@';
  return listen.address == name;
}

template <class IsIt>
void name_socket_unit(Holder& holder, IsIt is_it) {
  auto bus = Bus::open_system();
  if (!bus) return;
  const auto units = bus->socket_units();
  if (!units) return;
  for (const auto& unit : *units) {
    if (std::none_of(unit.listens.begin(), unit.listens.end(), is_it)) continue;
    holder.unit = unit.name;
    if (auto starts = bus->triggered_by(unit.name)) holder.starts = std::move(*starts);
    return;
  }
}

Holder with_socket_unit(Holder holder, const Socket& socket) {
  if (is_held_by_systemd(holder))
    name_socket_unit(holder, [&](const SocketUnit::Listen& listen) {
      return is_listen_of(listen, socket.protocol, socket.local);
    });
  return holder;
}

} // namespace

Holder owner_unit(const Socket& socket) {
  return with_socket_unit(find_holder_unit({socket.inode, socket.cgroup, socket.uid}), socket);
}

Holder owner(const Socket& socket) {
  return with_socket_unit(find_holder({socket.inode, socket.cgroup, socket.uid}), socket);
}

Holder owner(const UnixSocket& socket) {
  Holder holder = find_holder({.inode = socket.inode, .uid = socket.uid});
  if (is_held_by_systemd(holder))
    name_socket_unit(holder, [&](const SocketUnit::Listen& listen) { return is_listen_of(listen, socket); });
  return holder;
}

std::optional<bool> is_owned_by(const Holder& holder, const std::string& unit) {
  if (holder.unit.empty()) {
    // A process, or a cgroup below the root, that belongs to no unit is certainly not this one's.
    const bool known = holder.pid != 0 || holder.cgroup.size() > 1;
    return known ? std::optional(false) : std::nullopt;
  }
  if (holder.unit == unit) return true;
  if (std::find(holder.starts.begin(), holder.starts.end(), unit) != holder.starts.end()) return true;
  return !holder.user_unit.empty() && holder.user_unit == unit &&
         holder.unit == "user@" + std::to_string(geteuid()) + ".service";
}

} // namespace safe_deploy
