#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

// The class is compiled once, in json.cpp, and not again in every file that makes an object.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace safe_deploy {

// JSON whose keys stay in the order in which they were written.
using Json = nlohmann::ordered_json;

// As text, on one line or indented by `indent`. Bytes that are not UTF-8 are replaced: what is written may
// come from anywhere.
std::string to_text(const Json& json, int indent = -1);

// The text as JSON; a discarded value (is_discarded()) if it is none, or if an object has a key twice.
Json parse_json(const std::string& text);

// The text that an object has under this key; empty if it has none, or something else.
std::string text_in(const Json& object, const char* key);

// Adds what the object does not have yet. Objects search for a key from their first one on: whoever adds many
// must not let them.
void append(Json& object, const std::string& key, Json value);

// What keeps a text from being one JSON value to the letter (RFC 8259), with at most `most_levels` arrays and
// objects in each other: "line 1, column 7: ..."; empty if nothing does. Nothing is built and nothing
// recurses, whatever the text is.
std::string json_problem(std::string_view text, std::size_t most_levels);

} // namespace safe_deploy
