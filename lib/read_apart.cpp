#include "read_apart.hpp"

#include "fd.hpp"
#include "quantity.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

namespace safe_deploy {

namespace {

constexpr std::size_t piece_size = 128UL * 1024;
constexpr std::size_t most_names = 1024UL * 1024; // bytes of all that match a pattern
constexpr std::uint64_t apart_memory = 32UL * 1024 * 1024;

// --- in the other process

// What begins an answer: 0 and what was asked for, or an errno, or that it is no regular file.
constexpr int not_regular = -1;

std::string told(int error_number) {
  return {reinterpret_cast<const char*>(&error_number), sizeof error_number};
}

// The file that is read, piece by piece.
class Files {
 public:
  std::string answer(std::string_view question) {
    const std::string path(question.substr(1));
    switch (question.front()) {
      case 'o':
        return open_it(path);
      case 'g':
        return matching(path);
      case 'e':
        return exists(path);
      default:
        return next();
    }
  }

 private:
  // Neither a FIFO nor a device makes it wait.
  std::string open_it(const std::string& path) {
    file_.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!file_ || fstat(file_.get(), &status) != 0) return told(errno);
    return S_ISREG(status.st_mode) ? next() : told(not_regular);
  }

  std::string next() {
    std::string text = told(0);
    const std::size_t begin = text.size();
    text.resize(begin + piece_size);
    ssize_t got = 0;
    do got = read(file_.get(), text.data() + begin, piece_size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return told(errno);
    text.resize(begin + static_cast<std::size_t>(got));
    return text;
  }

  static std::string matching(const std::string& pattern) {
    glob_t found{};
    const int result = glob(pattern.c_str(), 0, nullptr, &found);
    std::string text = told(result == 0 || result == GLOB_NOMATCH ? 0
                            : result == GLOB_NOSPACE              ? ENOMEM
                                                                  : EIO);
    for (std::size_t i = 0; result == 0 && i < found.gl_pathc && text.size() <= most_names; ++i)
      text.append(found.gl_pathv[i]).push_back('\0');
    globfree(&found);
    return text.size() <= most_names ? text : told(E2BIG);
  }

  static std::string exists(const std::string& path) {
    struct stat status {};
    return told(stat(path.c_str(), &status) == 0 ? 0 : errno);
  }

  Fd file_ = {};
};

} // namespace

FileApart::FileApart()
    : apart_(
          [] {
            return [files = std::make_shared<Files>()](std::string_view question) {
              return files->answer(question);
            };
          },
          apart_memory) {}

Result<std::string> FileApart::ask(char what, const std::string& path, const Deadline& deadline) {
  auto answer = apart_.ask(what + path, deadline);
  if (!answer && answer.error().outcome() == Outcome::timed_out)
    return fail(Outcome::timed_out, path,
                fmt::format("its file system does not answer within {}", format_duration(deadline.given())));
  if (!answer && answer.error().outcome() == Outcome::os_error)
    return fail_errno(path, "cannot look", answer.error().code.value());
  int error_number = 0;
  if (!answer || answer->size() < sizeof error_number)
    return fail_errno(path, "cannot look: the process that looks ended", EAGAIN);
  std::memcpy(&error_number, answer->data(), sizeof error_number);
  if (error_number == not_regular) return fail(Outcome::no, path, "is not a regular file");
  if (error_number != 0) return fail_errno(path, what == 'n' ? "cannot read" : "cannot open", error_number);
  answer->erase(0, sizeof error_number);
  return answer;
}

Result<void> FileApart::read(const std::string& path, const std::function<bool(std::string_view)>& take,
                             const Deadline& deadline) {
  auto piece = ask('o', path, deadline);
  for (; piece && !piece->empty(); piece = ask('n', path, deadline))
    if (!take(*piece)) return {};
  if (!piece) return forward_error(piece);
  return {};
}

Result<std::string> FileApart::read(const std::string& path, std::size_t limit, const Deadline& deadline) {
  std::string content;
  auto all = read(
      path,
      [&](std::string_view piece) {
        content += piece;
        return content.size() <= limit;
      },
      deadline);
  if (!all) return forward_error(all);
  if (content.size() > limit) return fail(Outcome::no, path, "is too large");
  return content;
}

Result<std::vector<std::string>> FileApart::matching(const std::string& pattern, const Deadline& deadline) {
  const auto text = ask('g', pattern, deadline);
  if (!text) return tl::unexpected<Error>(text.error());
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin < text->size(); begin += paths.back().size() + 1)
    paths.emplace_back(text->c_str() + begin);
  return paths;
}

Result<bool> FileApart::exists(const std::string& path, const Deadline& deadline) {
  const auto looked = ask('e', path, deadline);
  if (looked) return true;
  if (looked.error().code == std::errc::no_such_file_or_directory ||
      looked.error().code == std::errc::not_a_directory)
    return false;
  return tl::unexpected<Error>(looked.error());
}

bool is_not_permitted(const Error& error) {
  return error.code == std::errc::permission_denied || error.code == std::errc::operation_not_permitted;
}

bool is_out_of_resources(const Error& error) {
  return error.code == std::errc::too_many_files_open ||
         error.code == std::errc::too_many_files_open_in_system ||
         error.code == std::errc::not_enough_memory ||
         error.code == std::errc::resource_unavailable_try_again;
}

} // namespace safe_deploy
