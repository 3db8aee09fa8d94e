#pragma once

#include "fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

// A server that says what a test wants it to say, also what no real one would. It listens on a port of
// 127.0.0.1 that the kernel chooses, or on a unix socket, and serves one connection after the other.
class ScriptedServer {
 public:
  class Connection {
   public:
    Connection(int fd, int stop_fd) : fd_(fd), stop_fd_(stop_fd) {}

    // False once the client is gone or the test is over.
    [[nodiscard]] bool send(std::string_view text) const {
      while (!text.empty()) {
        const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(sent));
      }
      return true;
    }

    // Waits until the client closes the connection or the test is over.
    void wait_for_end() const {
      pollfd watched[] = {{fd_, POLLRDHUP, 0}, {stop_fd_, POLLIN, 0}};
      (void)poll(watched, 2, -1);
    }

   private:
    int fd_;
    int stop_fd_;
  };

  // Called with each connection, once its request has been read.
  using Script = std::function<void(const Connection&, const std::string& request)>;

  explicit ScriptedServer(Script script, const std::string& unix_path = "")
      : script_(std::move(script)), stop_(eventfd(0, EFD_CLOEXEC)) {
    if (unix_path.empty())
      listen_on_port();
    else
      listen_on_path(unix_path);
    if (listen(socket_.get(), 16) < 0) throw std::runtime_error("listen");
    thread_ = std::thread([this] { serve(); });
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    const std::uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof one);
    thread_.join();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  static Script answers(std::string text) {
    return [text = std::move(text)](const Connection& connection, const std::string&) {
      (void)connection.send(text);
    };
  }
  // An answer with a body.
  static std::string answer(int status, std::string_view body, std::string_view headers = "") {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string(headers) + "Connection: close\r\n\r\n" + std::string(body);
  }

 private:
  void listen_on_port() {
    socket_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_.get(), generic, length) < 0 || getsockname(socket_.get(), generic, &length) < 0)
      throw std::runtime_error("bind");
    port_ = ntohs(address.sin_port);
  }

  void listen_on_path(const std::string& path) {
    socket_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
      throw std::runtime_error("bind");
  }

  [[nodiscard]] bool readable(int fd) const {
    pollfd watched[] = {{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    return poll(watched, 2, -1) > 0 && watched[1].revents == 0;
  }

  void serve() {
    while (readable(socket_.get())) {
      const safe_deploy::Fd client(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) continue;
      std::string request = read_request(client.get());
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      script_(Connection(client.get(), stop_.get()), request);
    }
  }

  // With its body, as long as Content-Length says.
  [[nodiscard]] std::string read_request(int fd) const {
    std::string text;
    char buffer[4096];
    while (readable(fd)) {
      const ssize_t got = read(fd, buffer, sizeof buffer);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
      if (text.front() == 0x16) break; // the first record of TLS
      const std::size_t end = text.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      const std::size_t length = text.find("Content-Length: ");
      const std::size_t wanted = length == std::string::npos ? 0 : std::stoul(text.substr(length + 16));
      if (text.size() >= end + 4 + wanted) break;
    }
    return text;
  }

  Script script_;
  safe_deploy::Fd stop_;
  safe_deploy::Fd socket_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};
