#include "netlink.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>

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

Result<void> Netlink::ask(Bytes request, bool dump, const std::function<void(const NetlinkMessage&)>& take) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail_errno("netlink", "cannot ask");
  // The kernel fills at most 32 KiB of a dump at a time.
  alignas(nlmsghdr) std::array<std::byte, 32768> buffer;
  for (;;) {
    const ssize_t received = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return fail_errno("netlink", "cannot read the answer");
    if (received == 0) return fail_errno("netlink", "cannot read the answer", EPROTO);
    Bytes rest(buffer.data(), static_cast<std::size_t>(received));
    while (const auto message = next_message(rest)) {
      if (message->type == NLMSG_DONE) {
        const auto result = read_struct<int>(message->payload);
        if (result && *result < 0) return fail_errno("netlink", "the kernel refused", -*result);
        return {};
      }
      if (message->type == NLMSG_ERROR) {
        const auto error = read_struct<nlmsgerr>(message->payload);
        if (error && error->error == 0) return {};
        return fail_errno("netlink", "the kernel refused", error ? -error->error : EPROTO);
      }
      take(*message);
    }
    if (!dump) return {};
  }
}

} // namespace safe_deploy
