#pragma once

#include "checks/make.hpp"
#include "error.hpp"

#include <string>
#include <string_view>

// ${app}, ${release} and ${link} in the values of a check.
namespace safe_deploy {

// Whether the value holds a ${...}: then what it means is known only when the check is made.
bool has_placeholder(std::string_view value);

// Says what is wrong with the ${...} in a value (unknown name, no closing brace), or nothing.
std::string judge_placeholders(std::string_view value);

// How a value is quoted where it is put in, for instance as the inside of a JSON string in a jq filter: a
// release's name may hold any character but '/' and control characters.
using Quote = std::string (*)(std::string_view);
std::string quote_for_json(std::string_view text);  // inside "..." of JSON or jq
std::string quote_for_regex(std::string_view text); // stands for itself in an ERE, PCRE or RE2 pattern
std::string quote_for_url(std::string_view text);   // percent-encoded (RFC 3986, section 2.1)

// The value with every ${...} replaced. What comes out is not looked at again. Errors, with the placeholder
// as the subject: bad_config where judge_placeholders() finds something; no where the context does not know
// the value (no release is deployed yet).
Result<std::string> expand(std::string_view value, const CheckContext& context, Quote quote = nullptr);

} // namespace safe_deploy
