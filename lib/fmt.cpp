// The part of {fmt} that its shared library holds, compiled once. Debian has no static libfmt; the shared one
// would load a second C++ runtime into each tool, and FMT_HEADER_ONLY compiles all of this again in every
// file, which doubles the time of a build. The list is that of fmt's own src/format.cc, for char.
// Without std::locale, which would bring the streams of the C++ runtime with it (300 kB a tool); nothing here
// is formatted by locale.
#define FMT_STATIC_THOUSANDS_SEPARATOR ','

#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

template FMT_API auto dragonbox::to_decimal(double x) noexcept -> dragonbox::decimal_fp<double>;
template FMT_API auto thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto decimal_point_impl(locale_ref) -> char;
template FMT_API void buffer<char>::append(const char*, const char*);
template FMT_API void vformat_to(buffer<char>&, string_view, basic_format_args<buffer_context<char>>,
                                 locale_ref);

} // namespace detail
FMT_END_NAMESPACE
