#pragma once

#include <fmt/core.h>

// Read before every file (meson.build, pch/library.hpp) but fmt.cpp. fmt is built without floating point,
// which would add 12 kB to each tool and which it leaves out in silence then: here that does not compile.
// format_number() of quantity.hpp is the way.
FMT_BEGIN_NAMESPACE
namespace detail {
template <>
FMT_CONSTEXPR FMT_INLINE value<format_context>::value(double) = delete;
} // namespace detail
FMT_END_NAMESPACE
