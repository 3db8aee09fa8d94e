// As lib/pch/library.hpp, for the tests.
#include "../../../lib/pch/library.hpp"
#include "../catch.hpp"

#include <filesystem>
#include <fstream>
