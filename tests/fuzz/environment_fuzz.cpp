#include "environment_file.hpp"
#include "fuzz.hpp"
#include "name.hpp"

using namespace safe_deploy;

void fuzz(std::string_view input) {
  std::size_t told = 0;
  const auto read = read_environment_file(input, [&](std::string_view name, std::string_view value) {
    fuzz_verify(!name.empty() && name.find_first_of("=\n\r") == std::string_view::npos);
    fuzz_verify(name.find_first_of("#; \t") != 0);
    fuzz_verify(is_utf8(name) && is_utf8(value));
    told += name.size() + value.size() + 1; // and the '='
  });
  fuzz_verify(told <= input.size());
  if (!read) fuzz_verify(read.error().outcome() == Outcome::no && !read.error().problem.empty());
}
