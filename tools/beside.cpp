#include "beside.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace safe_deploy {

Result<std::string> beside(const std::string& tool) {
  std::array<char, 4096> self{};
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size() - 1);
  if (length < 0) return fail_errno("/proc/self/exe", "cannot read");
  const std::string path(self.data(), static_cast<std::size_t>(length));
  return path.substr(0, path.rfind('/') + 1) + tool;
}

Result<int> run_beside(std::vector<std::string> words) {
  auto program = beside(words.front());
  if (!program) return forward_error(program);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  (void)std::fflush(stdout);
  pid_t child = 0;
  if (const int error = posix_spawn(&child, program->c_str(), nullptr, nullptr, argv.data(), environ);
      error != 0)
    return fail_errno(*program, "cannot run", error);
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail_errno(*program, "cannot wait for");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace safe_deploy
