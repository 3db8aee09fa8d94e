#pragma once

#include <cstdlib>
#include <string_view>

// What each fuzz target defines: it gives an input to a parser, and aborts where what must hold does not.
void fuzz(std::string_view input);

inline void fuzz_verify(bool holds) {
  if (!holds) std::abort();
}
