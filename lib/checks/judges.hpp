#pragma once

#include <span>
#include <string>
#include <string_view>

// What can be wrong with the value of a key: a sentence without subject ("is not ..."), or nothing. They load
// no library, so that every tool can judge; what only the check itself can find out (whether a jq filter
// compiles, a file exists) is found when it is made. Values that may be secrets are not repeated.
namespace safe_deploy::judge {

std::string url(std::string_view value);            // http or https, with a host, without a password
std::string status_ranges(std::string_view value);  // "200-299,404": 100 to 599
std::string regex(std::string_view value);          // POSIX extended
std::string header(std::string_view value);         // "Name: value"
std::string header_pattern(std::string_view value); // "Name: REGEX"
std::string http_method(std::string_view value);    // "GET"
std::string token_source(std::string_view value);   // an absolute path or credential:NAME
std::string absolute_path(std::string_view value);
std::string command(std::string_view value); // an absolute path and arguments; none is repeated
std::string yes_or_no(std::string_view value);
std::string positive_duration(std::string_view value); // more than 0, with a limit
std::string positive_size(std::string_view value);     // at least one byte
std::string percent(std::string_view value);
std::string positive_number(std::string_view value);   // a decimal of more than 0
std::string file_mode(std::string_view value);         // permission bits, in octal
std::string file_owner(std::string_view value);        // USER, USER:GROUP or :GROUP
std::string unit(std::string_view value);              // systemd.unit(5), with its suffix
std::string environment_names(std::string_view value); // a list; of variables or credentials
std::string journal_priority(std::string_view value);  // "err": the names of syslog(3)
std::string number(std::string_view value);            // decimal, with sign and exponent

// A place on this machine or another where something listens: PORT, HOST:PORT, [V6]:PORT, unix:PATH.
std::string target(std::string_view value);
std::string stream_target(std::string_view value); // the same without UDP
std::string escaped(std::string_view value);       // text with escapes (escapes.hpp)

// Where a certificate is: the absolute path of a file, HOST:PORT or [V6]:PORT.
std::string certificate_place(std::string_view value);
std::string host(std::string_view value); // a name or an address

// One of some words: `judge::word<words>` for an array of std::string_view.
std::string one_of(std::string_view value, std::span<const std::string_view> words);
template <const auto& words>
std::string word(std::string_view value) {
  return one_of(value, words);
}

} // namespace safe_deploy::judge
