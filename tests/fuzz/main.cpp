// The main of a fuzz target: libFuzzer's where it is built with -Dfuzzing=true, else a replay of the files in
// the directories that are its arguments.

#include "fuzz.hpp"

#ifdef SAFE_DEPLOY_LIBFUZZER

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}

#else

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

int main(int argc, char** argv) {
  int replayed = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string input{std::istreambuf_iterator<char>(file), {}};
      // Before the input, so that one that aborts is named.
      std::printf("%s\n", entry.path().filename().c_str());
      (void)std::fflush(stdout);
      fuzz(input);
      ++replayed;
    }
  }
  std::printf("%d inputs\n", replayed);
  return replayed > 0 ? 0 : 1; // no corpus is no test
}

#endif
