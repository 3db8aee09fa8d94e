#pragma once

#include "address.hpp"
#include "fd.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>

// Real sockets for the tests of what looks at sockets.
namespace safe_deploy::test {

struct SocketOptions {
  Protocol protocol = Protocol::tcp;
  std::uint16_t port = 0; // 0: any
  bool reuse_address = true;
  bool reuse_port = false;
  bool v6_only = false;
  const char* device = nullptr;
};

inline void set_option(const Fd& socket, int level, int option, int value) {
  if (setsockopt(socket.get(), level, option, &value, sizeof value) != 0)
    throw std::runtime_error("setsockopt");
}

inline Fd open_socket(bool v6, const SocketOptions& options) {
  Fd socket(::socket(v6 ? AF_INET6 : AF_INET,
                     (options.protocol == Protocol::tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  if (!socket) throw std::runtime_error("socket");
  if (options.reuse_address) set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port) set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  if (v6) set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0);
  if (options.device != nullptr &&
      setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, options.device, sizeof "lo") != 0)
    throw std::runtime_error("SO_BINDTODEVICE");
  return socket;
}

// An invalid descriptor if the address or port cannot be had.
inline Fd bind_socket(const Address& address, const SocketOptions& options = {}) {
  Fd socket = open_socket(address.v6, options);
  const SocketAddress name({address, options.port});
  if (bind(socket.get(), name.get(), name.length) != 0) socket.reset();
  return socket;
}

inline Fd listen_socket(const Address& address, const SocketOptions& options = {}) {
  Fd socket = bind_socket(address, options);
  if (socket && listen(socket.get(), 1024) != 0) socket.reset();
  return socket;
}

inline std::uint16_t port_of(const Fd& socket) {
  sockaddr_in6 name{}; // the port is at the same place in both families
  socklen_t size = sizeof name;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0)
    throw std::runtime_error("getsockname");
  return ntohs(name.sin6_port);
}

inline Fd connect_to(const Endpoint& endpoint) {
  Fd socket(::socket(endpoint.address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress name(endpoint);
  if (connect(socket.get(), name.get(), name.length) != 0) throw std::runtime_error("connect");
  return socket;
}

inline Fd accept_from(const Fd& listener) {
  Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) throw std::runtime_error("accept");
  return socket;
}

// Until the other side has closed.
inline void await_end(const Fd& connection) {
  char byte = 0;
  while (read(connection.get(), &byte, 1) > 0) {
  }
}

inline bool is_readable(int fd, int milliseconds = 0) {
  pollfd state{fd, POLLIN, 0};
  return poll(&state, 1, milliseconds) == 1;
}

// A port that nobody has now.
inline std::uint16_t unused_port(const Address& address = Address::v4_loopback()) {
  return port_of(bind_socket(address, {.reuse_address = true}));
}

// Runs `body` in a process of its own, for what cannot be taken back there; whether it returned true.
inline bool in_child(const std::function<bool()>& body) {
  (void)std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    bool ok = false;
    try {
      ok = body();
    } catch (const std::exception& error) {
      (void)std::fprintf(stderr, "in the child: %s\n", error.what());
    }
    (void)std::fflush(nullptr);
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline bool is_root() {
  return geteuid() == 0;
}

// A network namespace of its own for this process, with its loopback interface up. Needs root.
inline void enter_new_network() {
  if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("unshare");
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) throw std::runtime_error("SIOCSIFFLAGS");
}

// A test program has a network of its own where it may: the ports of programs at its side do not meet its
// own.
inline const bool own_network = [] {
  try {
    if (is_root()) enter_new_network();
  } catch (const std::runtime_error&) { // not in every container
    return false;
  }
  return is_root();
}();

// From here on socket(AF_NETLINK, ...) fails with EAFNOSUPPORT in this process, as under
// RestrictAddressFamilies=.
inline void forbid_netlink() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof code / sizeof code[0], code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw std::runtime_error("seccomp");
}

} // namespace safe_deploy::test
