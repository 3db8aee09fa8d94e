#pragma once

#include "error.hpp"

#include <string>
#include <string_view>

namespace safe_deploy {

// An app's name: [A-Za-z0-9][A-Za-z0-9_.@-]*, at most 128 characters. It becomes a file name and the
// instance of a unit, so nothing else is let through. Outcome::usage otherwise.
Result<std::string> parse_app_name(std::string_view text);

// A release's name: one file name (no '/', not "." or ".."), at most 255 bytes, UTF-8, no control characters,
// not starting with '-'. Outcome::usage otherwise.
Result<std::string> parse_release_name(std::string_view text);

// A unit that can be started: systemd.unit(5), "Unit names": at most 255 bytes of letters, digits and
// :-_.\\@, a type such as .service, an instance where there is an '@'. Outcome::usage otherwise.
Result<std::string> parse_unit_name(std::string_view text);

// The text with control characters and bytes that are not UTF-8 escaped as \xNN, cut to `limit` bytes with an
// ellipsis: for hostile text in a message.
std::string printable(std::string_view text, std::size_t limit = 200);

// Whether the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text);

} // namespace safe_deploy
