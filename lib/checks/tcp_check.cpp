#include "checks/tcp_check.hpp"

#include "checks/port_check.hpp"
#include "escapes.hpp"
#include "name.hpp"
#include "quantity.hpp"
#include "reach.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace safe_deploy {

namespace {

std::string in_quotes(std::string_view text) {
  return fmt::format("'{}'", printable(text, 80));
}

// Without the end of its last line, which says nothing to people.
std::string what_came(std::string_view received) {
  if (received.empty()) return "nothing came";
  const std::size_t last = received.find_last_not_of("\r\n");
  const std::string_view shown = received.substr(0, last == std::string_view::npos ? 0 : last + 1);
  return fmt::format("{} {} came: {}", received.size(), received.size() == 1 ? "byte" : "bytes",
                     in_quotes(shown));
}

// The line of the answer that holds what was found; what else came is no news.
std::string_view line_around(std::string_view received, std::size_t found, std::size_t length) {
  constexpr std::string_view ends("\r\n\0", 3);
  const std::size_t before = found == 0 ? std::string_view::npos : received.find_last_of(ends, found - 1);
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const std::size_t end = std::min(received.find_first_of(ends, found + length), received.size());
  std::string_view line = received.substr(begin, end - begin);
  while (!line.empty() && ends.find(line.back()) != std::string_view::npos) line.remove_suffix(1);
  return line;
}

bool would_block() {
  return errno == EAGAIN || errno == EINTR;
}

} // namespace

std::string TcpCheck::about(std::string_view what) const {
  return fmt::format("{}: {}", printable(port_label(connector_.target())), what);
}

std::shared_ptr<Check> TcpCheck::gate() {
  return make_listener_gate(connector_.target(), identity_.get());
}

Answer TcpCheck::ask(const Deadline& deadline) {
  const auto start = Clock::now();
  auto connection = connector_.connect(deadline);
  if (!connection) return std::move(connection.error());
  Answer answer = talk(connection->socket.get(), deadline);
  if (!answer.good()) return answer;
  answer.figures = {{"latency", std::chrono::duration<double>(Clock::now() - start).count(), "s"}};
  // Another machine's port has nothing to do with the app's, though it may have the same number.
  if (!identity_ || !is_observable(connector_.target())) return answer;
  const auto objection = identity_->objection(connector_.target(), connection->peer);
  return objection ? *objection : answer;
}

// Both directions at once: a server may want to say all that it has before it takes all that is sent.
Answer TcpCheck::talk(int socket, const Deadline& deadline) const {
  std::string_view unsent = talk_.send;
  std::string received;
  std::array<char, 16384> buffer;
  const auto closed = [&](std::string_view how) {
    if (talk_.expect.empty())
      return Answer::no("closed",
                        about(fmt::format("{} before all of {} was sent", how, in_quotes(talk_.send))));
    return Answer::no("closed", about(fmt::format("{} before {} came ({})", how, in_quotes(talk_.expect),
                                                  what_came(received))));
  };
  while (!unsent.empty() || !talk_.expect.empty()) {
    const int events = (talk_.expect.empty() ? 0 : POLLIN) | (unsent.empty() ? 0 : POLLOUT);
    if (deadline.has_passed() || !await_events(socket, static_cast<short>(events), deadline)) {
      if (talk_.expect.empty())
        return Answer::no(
            "timeout",
            about(fmt::format("connected, but it took {} of the {} bytes that were sent {}",
                              talk_.send.size() - unsent.size(), talk_.send.size(), within(deadline))));
      return Answer::no("timeout",
                        about(fmt::format("connected, but {} did not come {} ({})", in_quotes(talk_.expect),
                                          within(deadline), what_came(received))));
    }
    // Reading comes first: what the server said before it broke off is worth more than that it did.
    if (!talk_.expect.empty()) {
      const std::size_t room = std::min(buffer.size(), most_received - received.size());
      const ssize_t got = recv(socket, buffer.data(), room, 0);
      if (got == 0) return closed("it closed the connection");
      if (got < 0 && !would_block())
        return closed(fmt::format("the connection broke ({})", std::strerror(errno)));
      if (got > 0) {
        const std::size_t overlap = std::min(received.size(), talk_.expect.size() - 1);
        const std::size_t from = received.size() - overlap;
        received.append(buffer.data(), static_cast<std::size_t>(got));
        const std::size_t found = received.find(talk_.expect, from);
        if (found != std::string::npos)
          return Answer::yes(
              about("answered " + in_quotes(line_around(received, found, talk_.expect.size()))));
        if (received.size() == most_received)
          return Answer::no("unexpected",
                            about(fmt::format("{} came without {}: {}", format_size(most_received),
                                              in_quotes(talk_.expect), in_quotes(received))));
      }
    }
    if (unsent.empty()) continue;
    const ssize_t sent = send(socket, unsent.data(), unsent.size(), MSG_NOSIGNAL);
    if (sent >= 0)
      unsent.remove_prefix(static_cast<std::size_t>(sent));
    else if (!would_block() && talk_.expect.empty())
      return closed("it closed the connection");
    else if (!would_block())
      unsent = {}; // what it said before is still to be read
  }
  return Answer::yes(about("connected"));
}

Result<std::shared_ptr<Check>> make_tcp_check(const Values& values) {
  auto target = values.parsed("tcp", parse_stream_target, Target());
  if (!target) return forward_error(target);
  TcpTalk talk;
  for (const auto& [key, text] : {std::pair("send", &talk.send), std::pair("expect", &talk.expect)}) {
    auto bytes = values.parsed(key, parse_escapes, std::string(), quote_for_escapes);
    if (!bytes) return forward_error(bytes);
    *text = std::move(*bytes);
  }
  if (talk.expect.size() > TcpCheck::most_received)
    return values.wrong(
        "expect", {"", "is longer than the answer that is read (64K)", make_error_code(Outcome::bad_config)});
  const bool needs_no_rights = !target->is_unix();
  auto check = std::make_shared<TcpCheck>(std::move(*target), std::move(talk), values.context().identity);
  if (needs_no_rights) check->ask_as(values.context().unprivileged);
  return check;
}

} // namespace safe_deploy
