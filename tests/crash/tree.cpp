#include "tree.hpp"

#include "fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

namespace crash {

namespace {

[[noreturn]] void give_up(const fs::path& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

bool is_spare(const fs::path& path) {
  return path.filename() == ".spare";
}

// The blocks that are set aside behind a file's end.
off_t reserved(const struct stat& status) {
  const off_t held = static_cast<off_t>(status.st_blocks) * 512;
  return held > status.st_size ? held : 0;
}

void copy_content(const fs::path& from, const fs::path& to) {
  struct stat status {};
  if (stat(from.c_str(), &status) < 0) give_up(from);
  const safe_deploy::Fd file(
      open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status.st_mode & 07777));
  if (!file) give_up(to);
  const off_t blocks = reserved(status);
  // A block is held by what is in it, too: only whole ones are set aside.
  if (blocks > status.st_size + 4096 && fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, blocks) < 0)
    give_up(to);
  if (is_spare(from)) {
    if (status.st_size > 0 && posix_fallocate(file.get(), 0, status.st_size) != 0) give_up(to);
    return;
  }
  const std::string text = read_text(from);
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) give_up(to);
}

// ".current.safe-deploy.1234" and "state.json.unreadable-2026...": the part that is the same each time.
std::string stable_name(const std::string& name) {
  const std::string kept = without_times(name);
  const std::size_t dot = kept.rfind(".safe-deploy.");
  return dot == std::string::npos ? kept : kept.substr(0, dot) + ".safe-deploy.PID";
}

bool is_time_at(const std::string& text, std::size_t at) {
  if (text[at] != '2') return false;
  static const std::string shape = "0000-00-00T00:00:00.000Z";
  if (text.size() - at < shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(text[at + i])) != 0;
    if (shape[i] == '0' ? !digit : text[at + i] != shape[i]) return false;
  }
  return true;
}

} // namespace

std::string read_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

void write_text(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.flush();
  if (!stream) give_up(file);
}

std::string without_times(std::string text) {
  std::string kept;
  static const std::string monotonic = "\"monotonic\":";
  for (std::size_t at = 0; at < text.size();) {
    if (is_time_at(text, at)) {
      kept += "TIME";
      at += 24;
    } else if (text[at] == '"' && text.compare(at, monotonic.size(), monotonic) == 0) {
      kept += monotonic;
      at = std::min(text.find_first_not_of(" 0123456789.e+-", at + monotonic.size()), text.size());
    } else {
      kept += text[at++];
    }
  }
  return kept;
}

void copy_tree(const fs::path& from, const fs::path& to, const fs::path& shared) {
  fs::create_directory(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path name = entry.path().filename();
    if (entry.is_symlink())
      fs::create_symlink(fs::read_symlink(entry.path()), to / name);
    else if (entry.is_directory())
      copy_tree(entry.path(), to / name, shared == name || shared.empty() ? fs::path() : shared);
    else if (shared.empty())
      fs::create_hard_link(entry.path(), to / name);
    else
      copy_content(entry.path(), to / name);
  }
}

std::string describe_tree(const fs::path& tree) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(tree)) {
    std::string line = entry.path().parent_path().string().substr(tree.string().size()) + "/" +
                       stable_name(entry.path().filename());
    if (entry.is_symlink()) {
      line += " -> " + fs::read_symlink(entry.path()).string();
    } else if (entry.is_directory()) {
      line += "/";
    } else {
      struct stat status {};
      if (lstat(entry.path().c_str(), &status) < 0) give_up(entry.path());
      line += reserved(status) > status.st_size + 4096 ? " with room: " : ": ";
      // What is in the file of the full disk is of no consequence.
      line +=
          is_spare(entry.path()) ? std::to_string(status.st_size) : without_times(read_text(entry.path()));
    }
    lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

} // namespace crash
