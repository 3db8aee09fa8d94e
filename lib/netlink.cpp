#include "netlink.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>

namespace safe_deploy {

namespace {

// Both kinds of header hold a length that counts the header itself; what follows is aligned to four bytes.
std::optional<Bytes> take_off(Bytes& bytes, std::size_t header_size, std::size_t length) {
  if (length < header_size || length > bytes.size()) return std::nullopt;
  const Bytes payload = bytes.subspan(header_size, length - header_size);
  bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(length), bytes.size()));
  return payload;
}

} // namespace

std::optional<NetlinkMessage> next_message(Bytes& bytes) {
  const auto header = read_struct<nlmsghdr>(bytes);
  if (!header) return std::nullopt;
  const auto payload = take_off(bytes, NLMSG_HDRLEN, header->nlmsg_len);
  if (!payload) return std::nullopt;
  return NetlinkMessage{header->nlmsg_type, *payload};
}

std::optional<NetlinkAttribute> next_attribute(Bytes& bytes) {
  const auto header = read_struct<nlattr>(bytes);
  if (!header) return std::nullopt;
  const auto payload = take_off(bytes, NLA_HDRLEN, header->nla_len);
  if (!payload) return std::nullopt;
  return NetlinkAttribute{static_cast<std::uint16_t>(header->nla_type & NLA_TYPE_MASK), *payload};
}

Result<Netlink> Netlink::open(int protocol) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket) return fail_errno("netlink", "cannot open a socket");
  return Netlink(std::move(socket));
}

Result<void> Netlink::send(Bytes requests) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(socket_.get(), requests.data(), requests.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail_errno("netlink", "cannot ask");
  return {};
}

Result<void> Netlink::dump(Bytes request, const std::function<void(const NetlinkMessage&)>& take) {
  if (auto sent = send(request); !sent) return sent;
  // The kernel fills at most 32 KiB at a time.
  alignas(nlmsghdr) std::array<std::byte, 32768> buffer;
  for (;;) {
    const ssize_t received = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return fail_errno("netlink", "cannot read the answer");
    if (received == 0) return fail_errno("netlink", "cannot read the answer", EPROTO);
    Bytes rest(buffer.data(), static_cast<std::size_t>(received));
    while (const auto message = next_message(rest)) {
      if (message->type == NLMSG_DONE || message->type == NLMSG_ERROR) {
        const int result =
            read_struct<int>(message->payload).value_or(message->type == NLMSG_DONE ? 0 : -EPROTO);
        if (result < 0) return fail_errno("netlink", "the kernel refused", -result);
        return {};
      }
      take(*message);
    }
  }
}

Result<void> Netlink::ask(Bytes requests, std::size_t count, const TakeAnswer& take) {
  if (count > most_requests) return fail_errno("netlink", "cannot ask", EINVAL);
  if (auto sent = send(requests); !sent) return sent;
  alignas(nlmsghdr) std::array<std::array<std::byte, 1024>, most_requests> buffers;
  std::array<iovec, most_requests> vectors;
  std::array<mmsghdr, most_requests> messages{};
  for (std::size_t i = 0; i < count; ++i) {
    vectors[i] = {buffers[i].data(), buffers[i].size()};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  // The kernel has answered before send() returns.
  for (std::size_t answered = 0; answered < count;) {
    const int received =
        recvmmsg(socket_.get(), &messages[answered], static_cast<unsigned>(count - answered), 0, nullptr);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) return fail_errno("netlink", "cannot read the answer");
    for (int i = 0; i < received; ++i, ++answered) {
      Bytes rest = Bytes(buffers[answered]).first(messages[answered].msg_len);
      const auto message = next_message(rest);
      if (!message) return fail_errno("netlink", "cannot read the answer", EPROTO);
      const bool failed = message->type == NLMSG_ERROR;
      take(failed ? -read_struct<int>(message->payload).value_or(-EPROTO) : 0, *message);
    }
  }
  return {};
}

} // namespace safe_deploy
