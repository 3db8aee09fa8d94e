#pragma once

#include "error.hpp"
#include "fd.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>

// The little of netlink(7) that questions to the kernel need: requests of one message, answers of many. The
// readers below trust nothing of what they read.
namespace safe_deploy {

using Bytes = std::span<const std::byte>;

// A struct of the kernel's at the start of `bytes`, which need not be aligned.
template <class T>
std::optional<T> read_struct(Bytes bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

struct NetlinkMessage {
  std::uint16_t type = 0;
  Bytes payload = {};
};

// Takes the first message off `bytes`; nothing when none is left, or if what is left is no message.
std::optional<NetlinkMessage> next_message(Bytes& bytes);

struct NetlinkAttribute {
  std::uint16_t type = 0;
  Bytes payload = {};
};

// The same for the attributes behind a message's fixed part.
std::optional<NetlinkAttribute> next_attribute(Bytes& bytes);

// One conversation with the kernel. Not for two threads at once.
class Netlink {
 public:
  // `protocol`: NETLINK_SOCK_DIAG, NETLINK_ROUTE.
  static Result<Netlink> open(int protocol);

  // Sends one request (with its nlmsghdr) for a dump and hands each message of the answer to `take`, without
  // the end mark. The kernel's error comes back as its errno.
  Result<void> dump(Bytes request, const std::function<void(const NetlinkMessage&)>& take);

  // Sends up to most_requests of them, one behind the other, each of which is answered by one message or an
  // errno, in their order; both are handed to `take`.
  static constexpr std::size_t most_requests = 8;
  using TakeAnswer = std::function<void(int error_number, const NetlinkMessage& message)>;
  Result<void> ask(Bytes requests, std::size_t count, const TakeAnswer& take);

 private:
  explicit Netlink(Fd socket) : socket_(std::move(socket)) {}
  Result<void> send(Bytes requests);
  Fd socket_;
};

} // namespace safe_deploy
